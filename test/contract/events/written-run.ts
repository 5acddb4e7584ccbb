import { setTimeout as sleep } from 'node:timers/promises'
import { createEventWriter } from '../../../runtime/event-writer.ts'
import { END_EVENT, type RunEvent } from '../../../runtime/event.ts'
import { followRun } from '../../../runtime/follow.ts'
import type { Outcome } from '../../../runtime/outcome.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { settle } from '../../../runtime/settle.ts'
import type { Storage } from '../../../storage/open.ts'
import { claimOf, createRun, createThread, createWorker, threadState } from '../../support/storage.ts'

/** A run that is being executed, whose events a test writes by hand, through the executor's own writer. */
export interface WrittenRun {
  run: ClaimedRun
  failures: Error[]
  /** Writes the next `count` events. They are committed in batches as they come. */
  write(count: number, options?: { size?: number; pauseMs?: number }): Promise<void>
  /** Ends the run with `count` more events and its last one. */
  end(status?: 'success' | 'error', count?: number): Promise<void>
  /** Numbers of the events that its readers are to see, in order. */
  readonly visible: number[]
}

export async function beginRun(storage: Storage): Promise<WrittenRun> {
  const threadId = await createThread(storage)
  await createRun(storage, threadId)
  return writtenRun(storage, await claimOf(storage, await createWorker(storage), threadId))
}

/** `before`: what an earlier attempt at the run wrote. */
export function writtenRun(storage: Storage, run: ClaimedRun, before: number[] = [], from = 0): WrittenRun {
  const failures: Error[] = []
  const visible = [...before]
  const writer = createEventWriter(storage, run, { from, failed: (error) => failures.push(error) })
  let next = from
  const make = (count: number, size = 0) =>
    Array.from({ length: count }, () => {
      visible.push(next)
      return eventOf(run.run_id, next++, size)
    })
  return {
    run,
    failures,
    visible,
    async write(count, { size = 0, pauseMs = 0 } = {}) {
      for (let done = 0; done < count; done++) {
        await writer.push(make(1, size))
        if (pauseMs > 0) await sleep(pauseMs)
        else if (done % 3 === 0) await sleep(0)
      }
    },
    async end(status = 'success', count = 0) {
      const rest = await writer.finish()
      const list = [...rest.list, ...make(count), { event: END_EVENT, data: 'null' }]
      await settle(storage, run, outcomeOf(status, { from: rest.from, list }))
    },
  }
}

/** Another worker's go at the run, after the first one lost or ended it. */
export async function goOn(storage: Storage, { run, visible }: WrittenRun): Promise<WrittenRun> {
  const again = await claimOf(storage, await createWorker(storage), run.thread_id)
  const last = await storage.events.last(run.thread_id, run.run_id)
  return writtenRun(storage, again, visible, (last?.seq ?? -1) + 1)
}

export interface Reading {
  after?: number
  idleMs?: number
  /** Called with each batch (`null`: a heartbeat), before the next one is asked for. */
  onBatch?: (batch: RunEvent[] | null) => Promise<void> | void
  signal?: AbortSignal
}

/** The numbers that a reader sees until the run has ended. Throws where an event is not the one of its number. */
export async function readAll(
  storage: Pick<Storage, 'events' | 'runs' | 'live'>,
  { run }: WrittenRun,
  { after = -1, idleMs = 60_000, onBatch, signal }: Reading = {},
): Promise<number[]> {
  const seen: number[] = []
  const place = {
    threadId: run.thread_id,
    runId: run.run_id,
    after,
    idleMs,
    signal: AbortSignal.any([AbortSignal.timeout(15_000), ...(signal ? [signal] : [])]),
  }
  for await (const batch of followRun(storage, place)) {
    for (const event of batch ?? []) {
      if (!event.data.startsWith(`"${run.run_id}:${event.seq}:`))
        throw new Error(`Event ${event.seq} came as ${event.data.slice(0, 60)}.`)
      seen.push(event.seq)
    }
    await onBatch?.(batch)
  }
  return seen
}

function eventOf(runId: string, seq: number, size: number) {
  return { event: 'custom', data: JSON.stringify(`${runId}:${seq}:${'x'.repeat(size)}`) }
}

function outcomeOf(
  status: 'success' | 'error',
  events: Extract<Outcome, { status: 'success' }>['events'],
): Outcome {
  const state = threadState({ complete: status === 'success' })
  if (status === 'success') return { status, events, state }
  return { status, events, state, error: { error: 'Error', message: 'a test' } }
}
