import {
  ADMINISTRATION,
  type AuditEntry,
  type AuditKeys,
  auditKeys,
  GENESIS,
  type NewEntry,
  REGISTRIES,
  registryOf,
  seal,
  signatureOf,
  threadChain,
} from '../runtime/audit.ts'
import { failpoint } from '../runtime/failpoint.ts'
import { checkValue } from '../runtime/secret.ts'
import type { Connection, Database, Queryable } from './database.ts'
import { tellApprovals } from './tell-endpoints.ts'

// Locks the head until the commit: the entries of a chain are numbered in the order of their commits.
const LOCK_HEAD = `
  select seq::double precision as seq, mac, clock_timestamp() as now from audit_heads where chain = $1 for update`

const BEGIN_HEAD = `
  insert into audit_heads (chain, seq, mac, signature) values ($1, 0, $2, '')
  on conflict (chain) do update set chain = excluded.chain
  returning seq::double precision as seq, mac, clock_timestamp() as now`

const APPEND = `
  with added as (
    insert into audit_entries (chain, seq, entry, mac)
    select $1, seq, entry::json, mac from unnest($2::bigint[], $3::text[], $4::text[]) as e (seq, entry, mac)
  )
  update audit_heads set seq = $5, mac = $6, signature = $7, updated_at = clock_timestamp() where chain = $1`

const KEEP_CHECK = `
  insert into secret_check (value) values ($1) on conflict (one) do nothing returning value`

const READ_CHECK = 'select value from secret_check'

type Recorded = NewEntry & { chain?: string }

/**
 * The database with transactions that keep a record. What they put into `recorded` is sealed and appended after their
 * work, before they commit: heads are the last locks that a transaction takes, so they are part of no deadlock, and one
 * that records nothing asks nothing.
 */
export function withRecord(db: Connection, keys: AuditKeys): Database {
  return {
    ...db,
    transaction: (work) =>
      db.transaction(async (client) => {
        const recorded: NewEntry[] = []
        let told = 0
        const tell = async () => {
          const news = recorded.slice(told)
          told = recorded.length
          await tellApprovals(client, news)
        }
        const result = await work({
          query: (text, values) => client.query(text, values),
          last: (text, values) => client[recorded.length > 0 ? 'query' : 'last'](text, values),
          recorded,
          tell,
        })
        if (recorded.length > 0) {
          await tell()
          await append(client, recorded, keys)
          await failpoint('record.append:after')
        }
        return result
      }),
  }
}

/** Sees that the secret is the database's, and begins the record of one that has none. Throws one line. */
export async function beginRecord(db: Connection, secret: string): Promise<void> {
  const keys = auditKeys(secret)
  await db.transaction(async (client) => {
    // A second process that starts waits here for the first.
    const { rows } = await client.query(KEEP_CHECK, [checkValue(secret)])
    if (rows.length === 0) return
    const begun: Recorded[] = [ADMINISTRATION, ...REGISTRIES].map((chain) => ({ ...begins(chain), chain }))
    await append(client, begun, keys)
  })
  await checkSecret(db, secret)
}

/** Throws one line where the database was begun with another secret. */
export async function checkSecret(db: Queryable, secret: string): Promise<void> {
  const { rows } = await db.query<{ value: string }>(READ_CHECK)
  if (rows[0]?.value === checkValue(secret)) return
  throw new Error(
    'HOLDPOINT_SECRET is not the one that this database was begun with. Set that one, the same for every process on the database.',
  )
}

async function append(client: Queryable, recorded: Recorded[], keys: AuditKeys): Promise<void> {
  const begun: string[] = []
  for (const [chain, entries] of byChain(recorded))
    if (await extend(client, chain, entries, keys)) begun.push(chain)
  const threads = begun.filter((chain) => chain.startsWith('thread:'))
  const notes = threads.map((chain): Recorded => ({ ...begins(chain), chain: registryOf(chain) }))
  for (const [chain, entries] of byChain(notes)) await extend(client, chain, entries, keys)
}

/** In one order for all, so that two transactions never wait for each other. Registries are behind the threads. */
function byChain(recorded: Recorded[]): [string, Recorded[]][] {
  const chains = Map.groupBy(
    recorded,
    ({ chain, thread_id: threadId }) =>
      chain ?? (threadId === undefined ? ADMINISTRATION : threadChain(threadId)),
  )
  return [...chains].toSorted(([a], [b]) => (a < b ? -1 : 1))
}

interface Head extends Record<string, unknown> {
  seq: number
  mac: string
  now: Date
}

/** True where these are the chain's first entries. */
async function extend(
  client: Queryable,
  chain: string,
  entries: Recorded[],
  keys: AuditKeys,
): Promise<boolean> {
  const found = await client.query<Head>(LOCK_HEAD, [chain])
  const [head] =
    found.rows.length > 0 ? found.rows : (await client.query<Head>(BEGIN_HEAD, [chain, GENESIS])).rows
  if (head === undefined) throw new Error(`The head of the record's chain ${chain} did not come back.`)
  const at = head.now.toISOString()
  const sealed: AuditEntry[] = []
  for (const { chain: _, ...entry } of entries)
    sealed.push(seal(keys, sealed.at(-1) ?? { chain, seq: head.seq, mac: head.mac }, entry, at))
  const last = sealed.at(-1)
  if (last === undefined) return false
  await client.query(APPEND, [
    chain,
    sealed.map(({ seq }) => seq),
    sealed.map(({ mac: _, ...entry }) => JSON.stringify(entry)),
    sealed.map(({ mac }) => mac),
    last.seq,
    last.mac,
    signatureOf(keys, { chain, seq: last.seq, mac: last.mac }),
  ])
  return head.seq === 0
}

function begins(chain: string): NewEntry {
  return { kind: 'chain.begun', actor: 'holdpoint', actor_type: 'system', data: { chain } }
}
