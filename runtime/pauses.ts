import { holdsOf } from './hold.ts'
import type { Interop } from './interop.ts'
import { toJson } from './json.ts'
import type { Interrupt } from './thread.ts'
import type { ThreadState } from './outcome.ts'

interface StreamedInterrupt {
  id?: string
  value?: unknown
}

interface Snapshot {
  next: string[]
  tasks: { id: string; interrupts?: StreamedInterrupt[] }[]
}

/**
 * Collects the interrupts of one execution from its stream. The stream is the one complete source: a snapshot also
 * lists answered interrupts, and of several inside one subgraph only the last.
 */
export type Pauses = ReturnType<typeof createPauses>

export function createPauses({ show }: Pick<Interop, 'show'>) {
  const seen = new Map<string, { namespace: string[]; interrupt: Interrupt }>()
  return {
    /** Takes an `updates` chunk; true where it is an interrupt. */
    take(namespace: string[], payload: unknown): boolean {
      if (typeof payload !== 'object' || payload === null || !('__interrupt__' in payload)) return false
      for (const { id, value } of payload.__interrupt__ as StreamedInterrupt[]) {
        const before = id === undefined ? undefined : seen.get(id)
        // It is streamed once by the subgraph that it was raised in and again by the root: the deeper place is the task's.
        if (id === undefined || (before && before.namespace.length >= namespace.length)) continue
        seen.set(id, { namespace, interrupt: { id, value: toJson(show(value)) } })
      }
      return true
    },
    /** The execution begins again: what it paused at is not what the next one will. */
    forget() {
      seen.clear()
    },
    /**
     * The thread's state at the end: its values, and what waits in it. Of an execution that broke off the stream does
     * not tell all that waits, so that is not `complete`.
     */
    stateOf(threadId: string, snapshot: Snapshot, values: string, complete: boolean): ThreadState {
      const interrupts: Record<string, Interrupt[]> = {}
      for (const { namespace, interrupt } of seen.values()) {
        const task = namespace[0]?.split(':')[1] ?? rootTask(snapshot, interrupt.id) ?? interrupt.id
        ;(interrupts[task] ??= []).push(interrupt)
      }
      return {
        complete,
        values,
        interrupts,
        waiting: snapshot.tasks.flatMap(({ interrupts: list = [] }) => list.flatMap(({ id }) => id ?? [])),
        paused: seen.size > 0 || snapshot.next.length > 0,
        holds: [...seen.values()].flatMap(({ interrupt }) =>
          holdsOf(threadId, interrupt.value).map((hold) => ({ ...hold, interrupt_id: interrupt.id })),
        ),
      }
    },
  }
}

function rootTask(snapshot: Snapshot, interruptId: string): string | undefined {
  return snapshot.tasks.find(({ interrupts }) => interrupts?.some(({ id }) => id === interruptId))?.id
}
