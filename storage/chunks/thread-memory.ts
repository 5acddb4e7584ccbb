import { createMemory, type Memory } from './encode.ts'
import type { Before } from './state.ts'

/** What a thread's writer knows of it: its chunks, and the checkpoints that it read or wrote last. */
export interface ThreadMemory extends Memory {
  readonly checkpoints: Map<string, Before>
}

const MOST_CHECKPOINTS = 32

export function createThreadMemory(): ThreadMemory {
  return { ...createMemory(), checkpoints: new Map() }
}

export function placeOf(namespace: string, id: unknown): string {
  return `${namespace}\0${String(id)}`
}

export function noteCheckpoint(
  { checkpoints }: ThreadMemory,
  namespace: string,
  id: string,
  now: Before,
): void {
  const key = placeOf(namespace, id)
  checkpoints.delete(key)
  checkpoints.set(key, now)
  for (const oldest of checkpoints.keys()) {
    if (checkpoints.size <= MOST_CHECKPOINTS) break
    checkpoints.delete(oldest)
  }
}
