import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { AuditHead } from '../runtime/audit.ts'
import { type Fault, lineOf } from '../runtime/verify-chain.ts'
import { HEADS_FILE } from './head-export.ts'

const Head = z.object({
  chain: z.string(),
  seq: z.number().int().min(1),
  mac: z.string(),
  signature: z.string(),
})

interface Verified {
  chains: number
  entries: number
  faults: Fault[]
}

/** Tells what `verify` finds, a line for each fault. Returns the exit code: 0 where there is none. */
export async function reportAudit(
  { headsFile, dataDir }: { headsFile: string | undefined; dataDir: string },
  verify: (heads: AuditHead[]) => Promise<Verified>,
  say: (line: string) => void,
): Promise<number> {
  const heads = await readHeads(headsFile, join(dataDir, HEADS_FILE))
  const { chains, entries, faults } = await verify(heads)
  for (const fault of faults) say(lineOf(fault))
  const counted = `${chains} chains, ${entries} entries, ${heads.length} exported heads`
  say(faults.length === 0 ? `ok: ${counted}` : `${faults.length} faults: ${counted}`)
  return faults.length === 0 ? 0 : 1
}

/** A file that was named must be there; the data directory's need not. */
async function readHeads(named: string | undefined, own: string): Promise<AuditHead[]> {
  const file = named ?? own
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (named === undefined && code === 'ENOENT') return []
    throw new Error(`Cannot read ${file} (${code}). Name the file of exported heads with --heads.`, { cause })
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  return lines.map((line, index) => parseHead(line, `${file}, line ${index + 1}`))
}

function parseHead(line: string, place: string): AuditHead {
  try {
    return Head.parse(JSON.parse(line))
  } catch (cause) {
    throw new Error(`${place} is no exported head. Take it out, or name another file with --heads.`, {
      cause,
    })
  }
}
