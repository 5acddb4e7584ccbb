import type { Thread } from '../runtime/thread.ts'

/** What stands in the thread at each path, such as `values.messages[-1].content`; `null` where there is nothing. */
export function extracted(thread: Thread, paths: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, at(thread, path) ?? null]))
}

function at(thread: Thread, path: string): unknown {
  let place: unknown = thread
  for (const [step, index] of path.matchAll(/[^.[\]]+|\[(-?\d+)\]/g)) {
    if (index !== undefined) place = Array.isArray(place) ? place.at(Number(index)) : undefined
    else if (typeof place === 'object' && place !== null && Object.hasOwn(place, step))
      place = (place as Record<string, unknown>)[step]
    else return undefined
  }
  return place
}
