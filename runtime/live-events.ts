import type { NewEvent } from './event.ts'

/**
 * Brings committed events to readers past the table. It may lose, double or reorder them at any time: a reader goes by
 * their numbers, and reads the table wherever they do not continue what it has.
 */
export interface LiveEvents {
  /** Only after the commit of these events. Waits for nothing and never throws. */
  publish(runId: string, from: number, events: NewEvent[]): void
  /** `waits`: for nothing but the run's end. */
  subscribe(runId: string, as?: 'reads' | 'waits'): LiveReader
  /** What is known here of whoever follows the run: that somebody reads it, or that somebody waits for no more than its end. */
  followed(runId: string): 'reads' | 'waits' | undefined
}

export interface LiveReader {
  /** What came next; `undefined` after `timeoutMs`, or when `signal` aborts. */
  next(options: { timeoutMs: number; signal: AbortSignal }): Promise<LiveNews | undefined>
  close(): void
}

export type LiveNews =
  | { kind: 'batch'; from: number; events: NewEvent[] }
  /** The run's events are committed up to this number. */
  | { kind: 'committed'; through: number }
  /** The run may have changed, or something was missed: the table knows. */
  | { kind: 'unknown' }

/** What one reader may have waiting. Beyond it, it reads the table. */
export interface LiveLimits {
  events: number
  /** Of their JSON text. */
  characters: number
}

// Readers of one run share the texts; 5,000 streams that all hang on runs of their own hold 1.3 GB at the worst.
const LIMITS: LiveLimits = { events: 256, characters: 256 * 1024 }

/** Hands live events to the readers in this process. */
export interface LiveHub extends LiveEvents {
  /** Takes a topic that another process, or this one, has notified of (topics.ts). */
  hear(topic: string): void
  /** Some news may be lost: every reader looks at the table. */
  missed(): void
  /** Whether anybody here reads the run now. */
  hasReaders(runId: string): boolean
}

export function createLiveHub(limits = LIMITS): LiveHub {
  const readers = new Map<string, Map<Inbox, 'reads' | 'waits'>>()
  const tell = (runId: string, news: LiveNews) => readers.get(runId)?.forEach((_, inbox) => inbox.put(news))
  return {
    publish: (runId, from, events) => tell(runId, { kind: 'batch', from, events }),
    hear(topic) {
      const [kind, runId = '', through] = topic.split(':')
      if (kind === 'events') tell(runId, { kind: 'committed', through: Number(through) })
      if (kind === 'run') tell(runId, { kind: 'unknown' })
    },
    hasReaders: (runId) => readers.has(runId),
    followed(runId) {
      const ways = readers.get(runId)?.values()
      if (ways === undefined) return undefined
      return [...ways].includes('reads') ? 'reads' : 'waits'
    },
    missed: () => readers.forEach((here) => here.forEach((_, inbox) => inbox.put({ kind: 'unknown' }))),
    subscribe(runId, as = 'reads') {
      const inbox = createInbox(limits, () => {
        const here = readers.get(runId)
        here?.delete(inbox)
        if (here?.size === 0) readers.delete(runId)
      })
      readers.set(runId, (readers.get(runId) ?? new Map<Inbox, 'reads' | 'waits'>()).set(inbox, as))
      return inbox
    },
  }
}

type Batch = Extract<LiveNews, { kind: 'batch' }>

interface Inbox extends LiveReader {
  put(news: LiveNews): void
}

/** Never holds more than the limits: what is too much becomes `unknown`, and nothing more is kept until that is read. */
function createInbox(limits: LiveLimits, close: () => void): Inbox {
  const batches: Batch[] = []
  const held: LiveLimits = { events: 0, characters: 0 }
  let through = -1
  let unknown = false
  let wake: (() => void) | undefined

  const hold = ({ events }: Batch, sign: 1 | -1) => {
    held.events += sign * events.length
    held.characters += sign * charactersIn(events)
  }
  const keep = (batch: Batch) => {
    if (unknown) return
    batches.push(batch)
    hold(batch, 1)
    if (held.events <= limits.events && held.characters <= limits.characters) return
    batches.length = 0
    Object.assign(held, { events: 0, characters: 0 })
    unknown = true
  }
  const take = (): LiveNews | undefined => {
    if (unknown) {
      unknown = false
      return { kind: 'unknown' }
    }
    const batch = batches.shift()
    if (batch) {
      hold(batch, -1)
      return batch
    }
    if (through === -1) return undefined
    const news = { kind: 'committed', through } as const
    through = -1
    return news
  }
  return {
    put(news) {
      if (news.kind === 'batch') keep(news)
      else if (news.kind === 'committed') through = Math.max(through, news.through)
      else unknown = true
      wake?.()
    },
    async next({ timeoutMs, signal }) {
      const news = take()
      if (news !== undefined || signal.aborted) return news
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, timeoutMs)
        function done() {
          clearTimeout(timer)
          signal.removeEventListener('abort', done)
          wake = undefined
          resolve()
        }
        wake = done
        signal.addEventListener('abort', done, { once: true })
      })
      return take()
    },
    close,
  }
}

function charactersIn(events: NewEvent[]): number {
  return events.reduce((sum, { event, data }) => sum + event.length + data.length, 0)
}
