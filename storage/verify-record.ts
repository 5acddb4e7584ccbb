import {
  ADMINISTRATION,
  type AuditHead,
  type AuditKeys,
  auditKeys,
  REGISTRIES,
  type SealedEntry,
} from '../runtime/audit.ts'
import { type Fault, isSigned, type StoredEntry, verifyChain } from '../runtime/verify-chain.ts'
import type { Queryable } from './database.ts'
import { connect, type Place, secretOf } from './connect.ts'
import { checkSecret } from './record.ts'

// One moment of the database for all that is read.
const ONE_MOMENT = 'set transaction isolation level repeatable read, read only'

const HEADS = 'select chain, seq::double precision as seq, mac, signature from audit_heads order by chain'

const ENTRIES = `
  select chain, seq::double precision as seq, entry, mac from audit_entries
  where (chain, seq) > ($1, $2)
  order by chain, seq limit 1000`

const HAS_RECORD = `select to_regclass('audit_entries') is not null as found`

export interface Verified {
  chains: number
  entries: number
  faults: Fault[]
}

/**
 * Walks every chain of the database at that place, and changes nothing there. `exported`: heads that were written down
 * elsewhere. Throws one line where the database cannot be reached, has no record, or belongs to another secret.
 */
export async function verifyRecord(place: Place, exported: AuditHead[]): Promise<Verified> {
  const connection = await connect(place)
  try {
    const { rows } = await connection.query<{ found: boolean }>(HAS_RECORD)
    if (rows[0]?.found !== true)
      throw new Error('This database has no record yet. Start this version of Holdpoint on it once.')
    const secret = await secretOf(place)
    return await connection.transaction(async (client) => {
      await client.query(ONE_MOMENT)
      await checkSecret(client, secret)
      return await verifyAll(client, auditKeys(secret), exported)
    })
  } finally {
    await connection.close()
  }
}

export async function verifyAll(
  client: Queryable,
  keys: AuditKeys,
  exported: AuditHead[],
): Promise<Verified> {
  const { rows: heads } = await client.query<AuditHead & Record<string, unknown>>(HEADS)
  const headOf = new Map(heads.map((head) => [head.chain, head]))
  const exportedOf = Map.groupBy(exported, ({ chain }) => chain)
  const expected = new Set([ADMINISTRATION, ...REGISTRIES, ...headOf.keys(), ...exportedOf.keys()])
  const faults: Fault[] = []
  for (const head of exported.filter((one) => !isSigned(keys, one)))
    faults.push({ chain: head.chain, entry: head.seq, what: 'the exported head is not of this secret' })
  const seen = new Set<string>()
  let entries = 0
  for await (const [chain, rows] of chainsOf(client)) {
    seen.add(chain)
    entries += rows.length
    faults.push(...verifyChain(keys, chain, rows, headOf.get(chain), exportedOf.get(chain)))
    for (const begun of rows.flatMap(begunBy)) expected.add(begun)
  }
  for (const chain of expected) {
    if (seen.has(chain)) continue
    const head = headOf.get(chain)
    if (head !== undefined && isSigned(keys, head))
      faults.push({ chain, entry: 1, what: `tail cut (its head says ${head.seq})` })
    else faults.push({ chain, what: 'missing' })
  }
  return { chains: seen.size, entries, faults }
}

/** What a registry says there is. */
function begunBy({ entry }: StoredEntry): string[] {
  const { chain } = entry.data
  return entry.kind === 'chain.begun' && typeof chain === 'string' ? [chain] : []
}

/** Each chain with its entries, in the order of their places; one chain at a time is in memory. */
async function* chainsOf(client: Queryable): AsyncGenerator<[string, StoredEntry[]]> {
  let chain: string | undefined
  let rows: StoredEntry[] = []
  let after: [string, number] = ['', 0]
  for (;;) {
    const page = await client.query<Row & Record<string, unknown>>(ENTRIES, after)
    for (const { chain: of, seq, entry, mac } of page.rows) {
      if (chain !== undefined && of !== chain) {
        yield [chain, rows]
        rows = []
      }
      chain = of
      rows.push({ seq, entry, mac })
    }
    const last = page.rows.at(-1)
    if (last === undefined) break
    after = [last.chain, last.seq]
  }
  if (chain !== undefined) yield [chain, rows]
}

interface Row {
  chain: string
  seq: number
  entry: SealedEntry
  mac: string
}
