import type { Log, Queue, Signals } from './ports.ts'
import { topics } from './topics.ts'
import type { CancelAction, ClaimedRun } from './run.ts'

/** How often a run asks whether it was cancelled, should the signal have been lost. */
const POLL_MS = 2_000

/** A client cancelled the run. */
export class RunCancelled extends Error {
  readonly action: CancelAction

  constructor(action: CancelAction) {
    super('The run was cancelled.')
    this.name = 'RunCancelled'
    this.action = action
  }
}

/** Calls `cancel` when a client cancels the run, on whichever server. Returns when `signal` aborts. */
export async function watchForCancel(
  run: ClaimedRun,
  { signals, queue, log }: { signals: Signals; queue: Queue; log: Log },
  signal: AbortSignal,
  cancel: (reason: RunCancelled) => void,
): Promise<void> {
  const watch = signals.watch(topics.cancel(run.run_id))
  try {
    while (!signal.aborted) {
      await watch.changed({ timeoutMs: POLL_MS, signal })
      if (signal.aborted) return
      try {
        const action = await queue.cancelAction(run)
        if (action !== null) cancel(new RunCancelled(action))
      } catch (error) {
        log.warn('It is not known whether a run was cancelled; asking again', {
          run_id: run.run_id,
          cause: String(error),
        })
      }
    }
  } finally {
    watch.close()
  }
}
