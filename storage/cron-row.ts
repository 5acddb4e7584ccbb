import type { Cron } from '../runtime/cron.ts'
import type { Schedule } from '../runtime/schedule.ts'

export const CRON_COLUMNS = `c.cron_id, c.assistant_id, c.thread_id, c.on_run_completed, c.user_id, c.schedule, c.timezone, c.end_time,
  c.enabled, c.payload, c.metadata, c.next_run_date, c.last_error, c.created_at, c.updated_at`

/** The database's own time, unless the first value is a given clock's. */
export const NOW = 'coalesce($1::timestamptz, clock_timestamp())'

export interface CronRow extends Omit<Cron, 'end_time' | 'next_run_date' | 'created_at' | 'updated_at'> {
  end_time: Date | null
  next_run_date: Date | null
  created_at: Date
  updated_at: Date
  [column: string]: unknown
}

export function toCron(row: CronRow): Cron {
  return {
    cron_id: row.cron_id,
    assistant_id: row.assistant_id,
    thread_id: row.thread_id,
    on_run_completed: row.on_run_completed,
    user_id: row.user_id,
    schedule: row.schedule,
    timezone: row.timezone,
    end_time: row.end_time?.toISOString() ?? null,
    enabled: row.enabled,
    payload: row.payload,
    metadata: row.metadata,
    next_run_date: row.next_run_date?.toISOString() ?? null,
    last_error: row.last_error,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

export function whenOf({
  schedule,
  timezone,
  end_time: end,
}: Pick<Cron, 'schedule' | 'timezone' | 'end_time'>): Schedule {
  return { schedule, timezone, end_time: end === null ? null : new Date(end) }
}
