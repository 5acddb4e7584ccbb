import { type CallMatch, callsOf, type Step } from '../case.ts'
import type { ObservedCall } from '../observation.ts'
import { mismatch } from './matches.ts'
import type { Scorer } from './score.ts'

/** How far the calls, in order, are the expected ones. Every call counts, those that were refused too. */
export const scoreTrajectory: Scorer = ({ expected: { steps } }, { calls, holds }) => {
  const left = [...calls]
  const held = new Set(holds.map(({ hold }) => hold.call_id))
  let good = 0
  for (const step of steps) {
    const wanted = callsOf(step)
    const problem = compare(step, left.splice(0, wanted.length), held)
    if (problem !== null) return result(good, steps, calls, problem)
    good += wanted.length
  }
  if (left.length === 0) return { value: 1, why: [] }
  return result(good, steps, calls, `${left.length} more: ${left.map(({ tool }) => tool).join(', ')}`)
}

function result(good: number, steps: Step[], calls: ObservedCall[], problem: string) {
  const wanted = steps.flatMap(callsOf).length
  return { value: good / Math.max(wanted, calls.length), why: [`call ${good + 1}: ${problem}`] }
}

function compare(step: Step, found: ObservedCall[], held: ReadonlySet<string>): string | null {
  const wanted = callsOf(step)
  if (found.length < wanted.length) return `${wanted[found.length]?.tool} is missing`
  if ('together' in step) return compareTogether(step.together, found)
  if ('lanes' in step) return compareLanes(step.lanes, found, held)
  const [one] = found
  return one === undefined ? 'nothing' : mismatch(step, one)
}

function compareTogether(wanted: CallMatch[], found: ObservedCall[]): string | null {
  if (new Set(found.map(({ messageId }) => messageId)).size > 1)
    return 'the calls are not of one message, although none needs the other'
  const left = [...found]
  for (const one of wanted) {
    const at = left.findIndex((call) => mismatch(one, call) === null)
    if (at === -1)
      return `no ${one.tool} ${JSON.stringify(Object.fromEntries(Object.entries(one.args).map(([name, value]) => [name, String(value)])))}`
    left.splice(at, 1)
  }
  return null
}

/** Each lane is one namespace with its calls in order; each lane begins before any other one has ended. */
function compareLanes(lanes: CallMatch[][], found: ObservedCall[], held: ReadonlySet<string>): string | null {
  const groups = [...Map.groupBy(found, ({ namespace }) => namespace).values()]
  if (groups.length !== lanes.length)
    return `${groups.length} agents worked side by side instead of ${lanes.length}`
  const left = [...groups]
  for (const lane of lanes) {
    const reasons = left.map((group) => laneMismatch(lane, group))
    const at = reasons.indexOf(null)
    if (at === -1) return `no agent made ${lane.map(({ tool }) => tool).join(', ')} (${reasons.join('; ')})`
    left.splice(at, 1)
  }
  // When a held call runs is a person's doing.
  const timed = groups.filter((group) => !group.some(({ id }) => held.has(id)))
  return overlapping(timed) ? null : 'the agents worked one after the other instead of side by side'
}

function laneMismatch(lane: CallMatch[], group: ObservedCall[]): string | null {
  if (lane.length !== group.length) return `${group.length} calls instead of ${lane.length}`
  const reasons = lane.map((one, at) => mismatch(one, group[at] ?? { tool: 'nothing', args: {} }))
  return reasons.find((reason) => reason !== null) ?? null
}

function overlapping(groups: ObservedCall[][]): boolean {
  const spans = groups.map((group) => ({
    start: Math.min(...group.map(({ startedAt }) => startedAt ?? Infinity)),
    end: Math.max(...group.map(({ endedAt }) => endedAt ?? 0)),
  }))
  return spans.every((one) => spans.every((other) => one.start < other.end))
}
