import { sha256 } from '../runtime/audit.ts'
import { LeaseLost } from '../runtime/lease.ts'
import type { Observations, Refused } from '../runtime/observed.ts'
import type { ClaimedRun } from '../runtime/run.ts'
import type { Database, Transaction } from './database.ts'
import { agent } from './record-of-holds.ts'

/** Names come from models, and are as long as they like. */
const MAX_NAME = 200

const FENCE = `
  select 1 from runs
  where thread_id = $1 and run_id = $2 and lease_token = $3 and status = 'running'
  for share`

const SOURCES = 'select source from untrusted_reads where thread_id = $1 order by source'

const READ = `
  with fence as (${FENCE}), added as (
    insert into untrusted_reads (thread_id, source)
    select $1, source from unnest($4::text[]) as t (source), fence
    on conflict do nothing
  )
  select 1 from fence`

const REFUSED = `
  with fence as (${FENCE}), added as (
    insert into refused_calls (thread_id, message_id, call_id)
    select $1, message_id, call_id from unnest($4::text[], $5::text[]) as t (message_id, call_id), fence
    on conflict do nothing
    returning message_id, call_id
  )
  select message_id, call_id from fence left join added on true`

/** What no state of a thread may hide, in the name of one run. */
export function observationsOf(db: Database, run: ClaimedRun): Observations {
  const fence = [run.thread_id, run.run_id, run.lease_token]
  return {
    sources: () => untrustedIn(db, run.thread_id),
    async read(tools) {
      const { rows } = await db.query(READ, [...fence, tools])
      if (rows.length === 0) throw new LeaseLost(run.run_id)
    },
    refused: (list) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<{ message_id: string | null; call_id: string | null }>(REFUSED, [
          ...fence,
          list.map(({ call }) => call.messageId),
          list.map(({ call }) => call.callId),
        ])
        if (rows.length === 0) throw new LeaseLost(run.run_id)
        for (const one of list)
          if (rows.some((row) => row.message_id === one.call.messageId && row.call_id === one.call.callId))
            record(client, run, one)
      }),
  }
}

export async function untrustedIn(db: Database, threadId: string): Promise<string[]> {
  const { rows } = await db.query<{ source: string }>(SOURCES, [threadId])
  return rows.map(({ source }) => source)
}

function record(client: Transaction, run: ClaimedRun, refused: Refused): void {
  const { call, tool, argsHash, rule, policyVersion, message } = refused
  client.recorded.push({
    kind: 'call.refused',
    ...agent(run.assistant_id),
    thread_id: run.thread_id,
    run_id: run.run_id,
    assistant_id: run.assistant_id,
    message_id: call.messageId,
    call_id: call.callId,
    tool: tool.slice(0, MAX_NAME),
    data: {
      args_sha256: argsHash,
      rule,
      policy_version: policyVersion,
      message_sha256: sha256(message),
    },
  })
}
