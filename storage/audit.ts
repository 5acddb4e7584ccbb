import type { Audit, AuditEntry, AuditFilter, AuditHead, SealedEntry } from '../runtime/audit.ts'
import { allowedSql } from './allowed.ts'
import { type Database, jsonb } from './database.ts'

const searchSql = (order: 'asc' | 'desc') => `
  select entry, mac from audit_entries
  where ($1::text is null or chain = 'thread:' || $1)
    and ($2::text is null or entry ->> 'kind' = $2)
    and ($3::text is null or entry ->> 'actor' = $3)
    and ($4::text is null or entry ->> 'tool' = $4)
    and ($5::text is null or (entry ->> 'at') collate "C" >= $5)
    and ($6::text is null or (entry ->> 'at') collate "C" < $6)
    and ($7::text is null or ((entry ->> 'at') collate "C", chain, seq) ${order === 'asc' ? '>' : '<'} ($7, $8, $9))
    and ($10::jsonb is null or exists (
      select 1 from threads where threads.thread_id = (entry ->> 'thread_id')::uuid and ${allowedSql('$10', 'threads')}
    ) or (entry ->> 'thread_id' is null and entry -> 'data' ->> 'tenant' = $12))
  order by (entry ->> 'at') collate "C" ${order}, chain ${order}, seq ${order}
  limit $11`

const SEARCH = { asc: searchSql('asc'), desc: searchSql('desc') }

const HEADS = `
  select chain, seq::double precision as seq, mac, signature, clock_timestamp() as asked from audit_heads
  where $1::timestamptz is null or updated_at > $1
  order by updated_at`

const NOW = 'select clock_timestamp() as asked'

export function createAudit(db: Database): Audit {
  return {
    async search(filter) {
      const { rows } = await db.query<{ entry: SealedEntry; mac: string }>(
        SEARCH[filter.order],
        searchValues(filter),
      )
      return rows.map(({ entry, mac }): AuditEntry => ({ ...entry, mac }))
    },
    async heads(since) {
      const { rows: asked } = await db.query<{ asked: Date }>(NOW)
      const { rows } = await db.query<AuditHead & Record<string, unknown>>(HEADS, [since ?? null])
      const heads = rows.map(({ chain, seq, mac, signature }) => ({ chain, seq, mac, signature }))
      return { heads, asked: asked[0]?.asked ?? new Date() }
    },
  }
}

function searchValues(filter: AuditFilter): unknown[] {
  const { after, allowed } = filter
  return [
    filter.thread_id ?? null,
    filter.kind ?? null,
    filter.actor ?? null,
    filter.tool ?? null,
    filter.since ?? null,
    filter.until ?? null,
    after?.at ?? null,
    after?.chain ?? null,
    after?.seq ?? null,
    allowed === undefined ? null : jsonb(allowed),
    filter.limit,
    filter.administrationOf ?? null,
  ]
}
