import { type Failpoint, FAILPOINTS } from '../runtime/failpoint.ts'
import type { Random } from './random.ts'

/** What happens to one server process. */
export type ProcessFault =
  | { kind: 'kill' }
  /** A fresh server that dies by itself, at that pass of the failpoint. */
  | { kind: 'failpoint'; name: Failpoint; pass: number }
  | { kind: 'upgrade' }
  | { kind: 'clock' }

/** What happens around the processes, or without their end. */
export type AroundFault =
  | { kind: 'freeze' }
  | { kind: 'restart'; mode: 'fast' | 'immediate'; beyondLease: boolean }
  | { kind: 'redis' }
  | { kind: 'cut' }
  | { kind: 'delay'; ms: number }
  | { kind: 'silence'; beyondLease: boolean }

export interface Plan {
  process: ProcessFault[]
  around: AroundFault[]
}

/** Faults for each run of the load. With 1,000 runs: each failpoint five times, 360 kills in all. */
const PER_RUN = {
  failpoint: 0.1,
  kill: 0.16,
  upgrade: 0.01,
  clock: 0.01,
  freeze: 0.02,
  restart: 0.01,
  redis: 0.01,
  cut: 0.04,
  delay: 0.02,
  silence: 0.01,
}

/** Passes that may come before the one at which it dies. The others are met seldom, so the first counts. */
const FREQUENT = /^(events|checkpoint|run\.claim|run\.settle)/

/** The seed's schedule. An embedded database has one process and no network. */
export function planFaults(
  random: Random,
  { runs, embedded, kills }: { runs: number; embedded: boolean; kills?: number },
): Plan {
  const share = (kind: keyof typeof PER_RUN) => Math.ceil(runs * PER_RUN[kind])
  const list = <T>(count: number, make: (index: number) => T) =>
    Array.from({ length: count }, (_, index) => make(index))
  const order = random.shuffle(FAILPOINTS)
  const failpoints = list(share('failpoint'), (index): ProcessFault => {
    const name = order[index % order.length] ?? 'run.claim:after'
    return { kind: 'failpoint', name, pass: FREQUENT.test(name) ? random.int(1, 8) : 1 }
  })
  const plain = kills === undefined ? share('kill') : Math.max(0, kills - failpoints.length)
  const processes: ProcessFault[] = [...failpoints, ...list(plain, () => ({ kind: 'kill' }) as const)]
  if (embedded) return { process: random.shuffle(processes), around: [] }
  return {
    process: random.shuffle([
      ...processes,
      ...list(share('upgrade'), () => ({ kind: 'upgrade' }) as const),
      ...list(share('clock'), () => ({ kind: 'clock' }) as const),
    ]),
    around: random.shuffle<AroundFault>([
      ...list(share('freeze'), () => ({ kind: 'freeze' }) as const),
      ...list(
        share('restart'),
        (index) =>
          ({
            kind: 'restart',
            mode: index % 2 === 0 ? 'immediate' : 'fast',
            beyondLease: index % 4 === 0,
          }) as const,
      ),
      ...list(share('redis'), () => ({ kind: 'redis' }) as const),
      ...list(share('cut'), () => ({ kind: 'cut' }) as const),
      ...list(share('delay'), () => ({ kind: 'delay', ms: random.int(20, 400) }) as const),
      ...list(share('silence'), (index) => ({ kind: 'silence', beyondLease: index % 2 === 0 }) as const),
    ]),
  }
}
