import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Gives back what loading has left: V8 keeps its heap as large as loading made it, twice what a server at rest needs.
 * Stops the process for 0.1 s, so it is for a time when nobody is served yet.
 */
export function spareMemory(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'major'; flavor: 'last-resort' }) => void
  collect({ type: 'major', flavor: 'last-resort' })
}
