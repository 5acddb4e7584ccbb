import { appendFile, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Audit, AuditHead } from '../runtime/audit.ts'
import type { Log } from '../runtime/ports.ts'

const EVERY_MS = 60_000
/** A head changes before its transaction commits: what was not to be seen the last time is looked for again. */
const OVERLAP_MS = 60_000
const AT_A_TIME = 200
/** Longer than a line. */
const LINE_BYTES = 2_048

export const HEADS_FILE = 'audit-heads.jsonl'

/**
 * Writes the heads of the record that have changed into the data directory, each minute and at the end, and into the
 * log: whoever cuts a chain in the database, and puts an older head there, has them against him.
 */
export function startHeadExport(
  { audit, log, dataDir }: { audit: Audit; log: Log; dataDir: string },
  everyMs = EVERY_MS,
): { close(): Promise<void> } {
  const file = join(dataDir, HEADS_FILE)
  let since: Date | undefined
  let told = new Map<string, number>()
  let exporting: Promise<void> = Promise.resolve()
  const exportHeads = async () => {
    try {
      since ??= await lastExport(file)
      const { heads, asked } = await audit.heads(since)
      const changed = heads.filter(({ chain, seq }) => told.get(chain) !== seq)
      await write(file, changed, asked, log)
      told = new Map(heads.map(({ chain, seq }) => [chain, seq]))
      since = new Date(asked.getTime() - OVERLAP_MS)
    } catch (error) {
      log.error('The heads of the record could not be exported; trying again', { cause: String(error) })
    }
  }
  const next = () => (exporting = exporting.then(exportHeads))
  const timer = setInterval(() => void next(), everyMs)
  return {
    async close() {
      clearInterval(timer)
      await next()
    },
  }
}

/** When heads were written last, with the overlap; `undefined` where they never were. */
async function lastExport(file: string): Promise<Date | undefined> {
  const handle = await open(file).catch(() => undefined)
  if (handle === undefined) return undefined
  try {
    const { size } = await handle.stat()
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LINE_BYTES), {
      position: Math.max(0, size - LINE_BYTES),
    })
    const [, at] = /"at":"([^"]+)"[^\n]*\n$/.exec(buffer.toString('utf8', 0, bytesRead)) ?? []
    return at === undefined ? undefined : new Date(new Date(at).getTime() - OVERLAP_MS)
  } finally {
    await handle.close()
  }
}

async function write(file: string, heads: AuditHead[], asked: Date, log: Log): Promise<void> {
  if (heads.length === 0) return
  const at = asked.toISOString()
  // On a PostgreSQL of its own a server may have kept nothing there yet.
  await mkdir(dirname(file), { recursive: true })
  await appendFile(file, heads.map((head) => `${JSON.stringify({ at, ...head })}\n`).join(''), {
    mode: 0o600,
  })
  for (let from = 0; from < heads.length; from += AT_A_TIME)
    log.info('Heads of the audit record', { heads: heads.slice(from, from + AT_A_TIME) })
}
