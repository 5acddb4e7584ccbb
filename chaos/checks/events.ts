import { hashEvent } from '../reader.ts'
import { type Evidence, fact, type Line, none } from './check.ts'

interface Row {
  run_id: string
  thread_id: string
  seq: number
  event: string
  data: string
}

const GAPS = `
  select run_id, thread_id from events
  group by thread_id, run_id
  having count(*) <> max(seq) + 1 or min(seq) <> 0 or count(*) filter (where event = '__end__') <> 1`

const NO_END = `
  select run_id, thread_id from runs
  where not exists (
    select 1 from events e where e.thread_id = runs.thread_id and e.run_id = runs.run_id and e.event = '__end__'
  )`

const EVENTS = `
  select run_id, thread_id, seq, event, data from events where run_id = any($1) and event <> '__end__'
    and event not like 'v2|%'
  order by run_id, seq`

/** Runs whose events are compared at a time. */
const BATCH = 50

export async function checkEvents({ query, readings, tally }: Evidence): Promise<Line[]> {
  const gaps = await query<Row>(GAPS)
  const unended = await query<Row>(NO_END)
  const wrong: string[] = []
  let events = 0
  for (let from = 0; from < readings.length; from += BATCH) {
    const some = readings.slice(from, from + BATCH)
    const rows = await query<Row>(EVENTS, [some.map(({ runId }) => runId)])
    const byRun = Map.groupBy(rows, ({ run_id }) => run_id)
    for (const { runId, threadId, seen, faults, ended } of some) {
      const stored = byRun.get(runId) ?? []
      const count = Object.keys(seen).length
      events += count
      const name = `run ${runId} of thread ${threadId}`
      if (!ended) wrong.push(`${name}: its reader is still waiting after ${count} events`)
      else if (count !== stored.length) wrong.push(`${name}: ${count} of ${stored.length} events were seen`)
      const other = stored.find(({ seq, event, data }) => seen[seq] !== hashEvent(event, data))
      if (other !== undefined)
        wrong.push(`${name}: event ${other.seq} was another one when it was seen, or was not seen`)
      wrong.push(...faults.map((fault) => `${name}: ${fault}`))
    }
  }
  const name = ({ run_id, thread_id }: Row) => `run ${run_id} of thread ${thread_id}`
  const cut = tally.count('readers that were cut off')
  const moved = tally.count('readers that moved')
  return [
    fact(
      'events read',
      `${events} by ${readings.length} readers, cut off ${cut} times, moved ${moved} times`,
    ),
    none('readers that missed, repeated or reordered', wrong),
    none('runs whose stored events have a gap', gaps.map(name)),
    none('runs without a last event', unended.map(name)),
  ]
}
