import type { Metrics } from '../runtime/ports.ts'
import type { Database } from './database.ts'

const READ = `
  select
    (select count(*) from runs where status = 'pending' and available_at <= clock_timestamp())::integer as queued,
    (select count(*) from runs where status = 'running')::integer as running,
    (select count(*) from workers where expires_at > clock_timestamp())::integer as workers,
    (select count(*) from holds where status = 'pending')::integer as approvals,
    (select count(*) from webhooks where due_at is not null)::integer as webhooks,
    (select count(*) from webhooks where dead_at is not null)::integer as "deadWebhooks"`

export function createMetrics(db: Database): Metrics {
  return {
    async read() {
      const { rows } = await db.query<Awaited<ReturnType<Metrics['read']>> & Record<string, unknown>>(READ)
      const none = { queued: 0, running: 0, workers: 0, approvals: 0, webhooks: 0, deadWebhooks: 0 }
      return rows[0] ?? none
    },
  }
}
