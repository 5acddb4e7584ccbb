import type { LoadName } from './load.ts'
import { SIDES, type SideName } from './sides.ts'

/** One line of the table. */
export interface Workload {
  name: string
  what: string
  load: LoadName
  size: number
  /** Which of the load's figures it is. */
  figure: string
  /** `ms`: less is better; `per second`: more is. */
  unit: 'ms' | 'per second'
  sides: readonly SideName[]
}

const SERVERS = ['holdpoint', 'embedded', 'official'] as const
const atClients = (clients: number): Workload => ({
  name: `rate-${clients}`,
  what: `runs/s, ${clients} client${clients === 1 ? '' : 's'}`,
  load: 'rate',
  size: clients,
  figure: 'perSecond',
  unit: 'per second',
  sides: SIDES,
})

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'wait',
    what: '`runs/wait`, one client',
    load: 'wait',
    size: 15,
    figure: 'ms',
    unit: 'ms',
    sides: SIDES,
  },
  ...[1, 8, 32, 128].map(atClients),
  {
    name: 'first',
    what: 'first event of `runs/stream`',
    load: 'first',
    size: 15,
    figure: 'ms',
    unit: 'ms',
    sides: SERVERS,
  },
  {
    name: 'between',
    what: 'from one event to the next, tool loop',
    load: 'between',
    size: 3,
    figure: 'ms',
    unit: 'ms',
    // The official server sends a loop's events all at once.
    sides: ['holdpoint', 'embedded'],
  },
  {
    name: 'loop',
    what: 'tool loop of 20 calls',
    load: 'loop',
    size: 3,
    figure: 'ms',
    unit: 'ms',
    sides: SIDES,
  },
  {
    name: 'long',
    what: 'step of a thread of 400 KB in 400 steps, mean',
    load: 'long',
    size: 1,
    figure: 'perStep',
    unit: 'ms',
    sides: SIDES,
  },
  {
    name: 'read',
    what: 'state of that thread',
    load: 'long',
    size: 1,
    figure: 'read',
    unit: 'ms',
    sides: SIDES,
  },
  {
    name: 'resume',
    what: 'resume after a pause',
    load: 'resume',
    size: 10,
    figure: 'ms',
    unit: 'ms',
    sides: SIDES,
  },
]
