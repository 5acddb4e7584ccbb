import { setTimeout as sleep } from 'node:timers/promises'

/**
 * The places where the chaos command and the tests let a process die: before and after each commit that matters.
 * docs/reliability.md says which invariant each one guards.
 */
export const FAILPOINTS = [
  'run.create:before',
  'run.create:after',
  'run.claim:after',
  'events.append:before',
  'events.append:after',
  'checkpoint.put:before',
  'checkpoint.put:after',
  'checkpoint.writes:before',
  'checkpoint.writes:after',
  'effect.intend:before',
  'effect.intend:after',
  'effect.call:after',
  'effect.conclude:before',
  'effect.conclude:after',
  'hold.decide:before',
  'hold.decide:after',
  'run.settle:before',
  'run.settle:after',
  'record.append:after',
  'outbox.publish:before',
  'outbox.publish:after',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]

export type FailAction =
  | { kind: 'kill' }
  /** Milliseconds to wait there. */
  | { kind: 'delay'; ms: number }

interface Armed {
  action: FailAction
  /** Passes that are left before it acts. */
  passes: number
}

const armed = new Map<Failpoint, Armed>()

/**
 * Arms failpoints from a list such as `effect.call:after=kill@2,run.settle:before=delay100`: kill at the second pass;
 * wait 100 ms at every one. Throws for what it does not know.
 */
export function armFailpoints(list: string): void {
  for (const entry of list.split(',').filter((text) => text !== '')) {
    const [, name, kind, ms, pass] = /^([\w.:]+)=(kill|delay(\d+))(?:@(\d+))?$/.exec(entry.trim()) ?? []
    const known = FAILPOINTS.find((one) => one === name)
    if (known === undefined || kind === undefined) {
      throw new Error(
        `HOLDPOINT_FAILPOINTS: "${entry}" is no failpoint. There are: ${FAILPOINTS.join(', ')}.`,
      )
    }
    const action: FailAction = kind === 'kill' ? { kind: 'kill' } : { kind: 'delay', ms: Number(ms) }
    armed.set(known, { action, passes: Number(pass ?? 1) })
  }
}

/** Does nothing unless it is armed. */
export async function failpoint(name: Failpoint): Promise<void> {
  if (armed.size === 0) return
  const point = armed.get(name)
  if (point === undefined || --point.passes > 0) return
  if (point.action.kind === 'delay') return await sleep(point.action.ms)
  process.kill(process.pid, 'SIGKILL')
  // The signal arrives in its own time; nothing after this point may happen first.
  await new Promise(() => {})
}
