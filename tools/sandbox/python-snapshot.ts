import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Launch } from './launch.ts'
import { IMPORTS } from './python-prelude.ts'
import { snapshotProgram, type StartLimits, versionOf } from './runner-programs.ts'

const MAKE_MS = 60_000
/** CPython has 30 MB after its boot. */
const MAX_BYTES = 128 * 1024 * 1024

/**
 * The path of a snapshot of a booted CPython in `directory`, which is made where there is none yet. `undefined` where it
 * cannot be made: a boot then takes two seconds, and works. Only this process may write there: what stands in the
 * snapshot runs.
 */
export async function pythonSnapshot(
  directory: string,
  launch: Launch,
  limits: StartLimits,
): Promise<string | undefined> {
  const kind = createHash('sha256')
    .update(`${versionOf('python')} ${process.version} ${IMPORTS}`)
    .digest('hex')
  const path = join(directory, `python-${kind.slice(0, 16)}.snapshot`)
  if (existsSync(path)) return path
  const { command, args, ended } = launch(snapshotProgram(limits), limits)
  const temp = `${path}.${process.pid}.tmp`
  try {
    const { stdout } = await promisify(execFile)(command, args, {
      env: {},
      encoding: 'buffer',
      maxBuffer: MAX_BYTES,
      timeout: MAKE_MS,
    })
    await mkdir(directory, { recursive: true, mode: 0o700 })
    await writeFile(temp, stdout, { mode: 0o600 })
    await rename(temp, path)
    return path
  } catch {
    await rm(temp, { force: true }).catch(() => {})
    return undefined
  } finally {
    ended?.()
  }
}
