import { getConfig } from '@langchain/langgraph'
import { idWithin, newId } from '../runtime/ids.ts'
import { currentRun, type RunContext } from '../runtime/run-context.ts'

/** What each task of a run has in hand: the number of each of its messages, from 0 on. */
const taken = new WeakMap<RunContext, Map<string, Set<number>>>()

export interface MessageId {
  id: string
  /** For the next try: nothing came of this one. */
  giveBack(): void
}

/**
 * The id of the message that a model is about to be asked for: the nth of its task. Another try, by another model or,
 * where the server died, by another worker, says the same message again, so that clients which saw half of it replace
 * that half. Outside a run it is new.
 */
export function takeMessageId(): MessageId {
  const run = currentRun()
  const task: unknown = getConfig()?.configurable?.['checkpoint_ns']
  if (run === undefined || typeof task !== 'string') return { id: newId(), giveBack: () => {} }
  const tasks = taken.get(run) ?? new Map<string, Set<number>>()
  taken.set(run, tasks)
  const numbers = tasks.get(task) ?? new Set<number>()
  tasks.set(task, numbers)
  let number = 0
  while (numbers.has(number)) number += 1
  numbers.add(number)
  return { id: idWithin(run.runId, task, `${number}`), giveBack: () => void numbers.delete(number) }
}
