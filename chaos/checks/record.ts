import { auditKeys } from '../../runtime/audit.ts'
import { lineOf } from '../../runtime/verify-chain.ts'
import { verifyAll } from '../../storage/verify-record.ts'
import { SECRET } from '../fleet.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

// What was decided and done, and is not in the record. A word on a doubt may be taken back and said again.
const UNRECORDED = `
  select 'approval ' || approval_id as what from holds
  where json_array_length(decisions) <> (
    select count(*) from audit_entries
    where chain = 'thread:' || thread_id and entry ->> 'kind' = 'hold.decided'
      and entry ->> 'approval_id' = approval_id::text
  )
  union all
  select 'effect ' || key from effects
  where status in ('done', 'failed') and not exists (
    select 1 from audit_entries
    where chain = 'thread:' || thread_id and entry -> 'data' ->> 'key' = key::text
      and (entry ->> 'kind' = 'effect.ended' or (entry ->> 'kind' = 'effect.settled' and entry -> 'data' ->> 'status' = 'done'))
  )`

/** The record after all that was killed: every chain whole, and nothing done that is not in it. */
export async function checkRecord({ query }: Evidence): Promise<Line[]> {
  const client = {
    async query<Row>(sql: string, values?: unknown[]) {
      const rows = await query<Row>(sql, values)
      return { rows, rowCount: rows.length }
    },
  }
  const { entries, faults } = await verifyAll(client, auditKeys(SECRET), [])
  const unrecorded = await query<{ what: string }>(UNRECORDED)
  return [
    fact('entries of the record', entries),
    none('faults in the record', faults.map(lineOf)),
    none(
      'decisions and effects that the record does not have',
      unrecorded.map(({ what }) => what),
    ),
  ]
}
