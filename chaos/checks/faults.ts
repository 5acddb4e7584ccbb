import { FAILPOINTS } from '../../runtime/failpoint.ts'
import { CRASHES } from '../fleet.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

const OTHERS = [
  'frozen beyond the lease',
  'upgrades',
  'clocks that jump',
  'connections cut',
  'networks slowed',
  'networks silent',
  'Redis killed',
  'server starts',
]

/** What was done to the servers, so that the other lines mean something. */
export function checkFaults({ tally }: Evidence, skipped: string[]): Line[] {
  const hits = FAILPOINTS.map((name) => ({ name, count: tally.count(`failpoint ${name}`) }))
  const least = Math.min(...hits.map(({ count }) => count))
  const met = hits.filter(({ count }) => count > 0).length
  const restarts = [...tally.startingWith('PostgreSQL restarts')]
  return [
    fact(
      'kills',
      `${tally.count('kills')}, ${tally.count('kills while executing')} of a process that was executing a run`,
    ),
    fact('failpoints', `${met} of ${hits.length} died at, the least of all ${least} times`),
    ...OTHERS.map((name) => fact(name, tally.count(name))),
    ...restarts.map(([name, count]) => fact(name, count)),
    ...skipped.map((what) => fact(what, 'skipped')),
    none(CRASHES, tally.notes),
  ]
}
