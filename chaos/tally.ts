/** Counts what happened, by name, and keeps what a person has to look at. */
export interface Tally {
  add(name: string, count?: number): void
  count(name: string): number
  /** Names that begin so, with their counts. */
  startingWith(prefix: string): Map<string, number>
  note(text: string): void
  notes: string[]
}

export function createTally(): Tally {
  const counts = new Map<string, number>()
  const notes: string[] = []
  return {
    notes,
    add: (name, count = 1) => void counts.set(name, (counts.get(name) ?? 0) + count),
    count: (name) => counts.get(name) ?? 0,
    startingWith: (prefix) => new Map([...counts].filter(([name]) => name.startsWith(prefix))),
    note: (text) => void notes.push(text),
  }
}
