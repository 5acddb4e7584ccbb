import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Outside of everything that Holdpoint keeps: what stands here has happened. */
const JOURNAL = join(tmpdir(), `holdpoint-test-journal-${process.pid}`)

export function happened(note: string): void {
  appendFileSync(JOURNAL, `${note}\n`)
}

export function times(note: string): number {
  if (!existsSync(JOURNAL)) return 0
  return readFileSync(JOURNAL, 'utf8')
    .split('\n')
    .filter((line) => line === note).length
}

export function forget(): void {
  rmSync(JOURNAL, { force: true })
}
