import { type AuditHead, type AuditKeys, GENESIS, macOf, type SealedEntry, signatureOf } from './audit.ts'

/** A row of the record's table: where it stands, and what it says of itself. */
export interface StoredEntry {
  seq: number
  entry: SealedEntry
  mac: string
}

export interface Fault {
  chain: string
  /** Unset: the chain as a whole, or its head. */
  entry?: number
  what: string
}

/** `chain X, entry N: altered` */
export function lineOf({ chain, entry, what }: Fault): string {
  return `chain ${chain}${entry === undefined ? '' : `, entry ${entry}`}: ${what}`
}

/**
 * What is wrong with a chain, by the entry's number. An entry is genuine where its MAC fits what it says: only who has
 * the key can make one. `rows` in the order of their places; `heads`: further heads of the chain, exported earlier.
 */
export function verifyChain(
  keys: AuditKeys,
  chain: string,
  rows: StoredEntry[],
  head: AuditHead | undefined,
  heads: AuditHead[] = [],
): Fault[] {
  const faults: Fault[] = []
  const fault = (entry: number, what: string) => faults.push({ chain, entry, what })
  const genuine = new Map<number, StoredEntry>()
  const strange = new Map<number, StoredEntry>()
  for (const row of rows) {
    const own = row.entry.chain === chain && isGenuine(keys, row)
    if (own && !genuine.has(row.entry.seq)) genuine.set(row.entry.seq, row)
    else strange.set(row.seq, row)
  }
  const known = [head, ...heads].filter((one) => one !== undefined).filter((one) => isSigned(keys, one))
  const end = greatest(
    known.map(({ seq }) => seq),
    genuine.keys(),
  )
  const last = greatest(
    rows.map(({ seq }) => seq),
    genuine.keys(),
  )

  // How far the rows that follow stand from their numbers, where somebody closed or opened a gap.
  let shift = 0
  for (let seq = 1; seq <= end; seq++) {
    const row = genuine.get(seq)
    const inPlace = strange.get(seq)
    if (inPlace !== undefined) strange.delete(seq)
    if (row === undefined && inPlace === undefined) {
      if (seq > last) {
        fault(seq, `tail cut (${sayingHead(head, end)} says ${end})`)
        break
      }
      fault(seq, 'missing')
      shift -= 1
    } else if (row === undefined && inPlace !== undefined) {
      const next = genuine.get(seq + 1)?.entry.previous ?? known.find((one) => one.seq === seq)?.mac
      fault(seq, next === inPlace.mac ? 'altered' : 'recomputed')
    } else if (row !== undefined) {
      if (inPlace !== undefined) {
        fault(seq, 'inserted')
        shift += 1
      }
      if (row.seq !== seq && row.seq !== seq + shift) fault(seq, 'out of order')
      const before = seq === 1 ? GENESIS : genuine.get(seq - 1)?.mac
      if (before !== undefined && row.entry.previous !== before) fault(seq, 'recomputed')
    }
  }
  for (const seq of strange.keys()) fault(seq, 'inserted')
  return [...faults, ...headFaults(keys, chain, genuine, rows, head, heads)]
}

function headFaults(
  keys: AuditKeys,
  chain: string,
  genuine: Map<number, StoredEntry>,
  rows: StoredEntry[],
  head: AuditHead | undefined,
  exported: AuditHead[],
): Fault[] {
  const faults: Fault[] = []
  if (head === undefined) faults.push({ chain, what: 'head missing' })
  else if (!isSigned(keys, head)) faults.push({ chain, what: 'head altered' })
  else if (head.seq < greatest(genuine.keys())) {
    faults.push({
      chain,
      entry: head.seq,
      what: `head out of date (the chain goes on to ${rows.at(-1)?.seq})`,
    })
  }
  for (const one of exported.filter((each) => isSigned(keys, each))) {
    const row = genuine.get(one.seq)
    if (row !== undefined && row.mac !== one.mac)
      faults.push({ chain, entry: one.seq, what: 'recomputed (an exported head has another MAC)' })
  }
  return faults
}

function greatest(...lists: Iterable<number>[]): number {
  let found = 0
  for (const list of lists) for (const one of list) found = Math.max(found, one)
  return found
}

function sayingHead(head: AuditHead | undefined, end: number): string {
  return head?.seq === end ? 'its head' : 'an exported head'
}

function isGenuine(keys: AuditKeys, { entry, mac }: StoredEntry): boolean {
  try {
    return macOf(keys, entry) === mac
  } catch {
    return false
  }
}

export function isSigned(keys: AuditKeys, head: AuditHead): boolean {
  return signatureOf(keys, head) === head.signature
}
