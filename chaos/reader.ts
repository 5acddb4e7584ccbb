import { createHash } from 'node:crypto'
import { type Door, NoAnswer, pause } from './door.ts'
import type { Random } from './random.ts'
import type { Tally } from './tally.ts'

/** What one reader saw of one run. */
export interface Reading {
  threadId: string
  runId: string
  /** Hash of each event's name and data, by its id; ids that came twice or out of order are in `faults`. */
  seen: string[]
  faults: string[]
  /** The server closed the stream as ended. */
  ended: boolean
}

export function hashEvent(event: string, data: string): string {
  return createHash('sha1').update(`${event}\n${data}`).digest('base64').slice(0, 10)
}

/** Reads a run's events to the end, on whatever server there is, after what it has seen already. Now and then it moves by itself. */
export async function readRun(
  { door, random, tally, signal }: { door: Door; random: Random; tally: Tally; signal: AbortSignal },
  reading: Reading,
  first?: Response,
): Promise<void> {
  let response = first
  while (!reading.ended) {
    const moves = new AbortController()
    const until = AbortSignal.any([signal, moves.signal])
    // It leaves the stream in its middle.
    const leavesAt = random.chance(0.1) ? reading.seen.length + random.int(1, 10) : Infinity
    try {
      response ??= await door.open(`/threads/${reading.threadId}/runs/${reading.runId}/stream`, {
        signal: until,
        ...(reading.seen.length === 0 ? {} : { lastEventId: reading.seen.length - 1 }),
      })
      if (response.status !== 200) {
        reading.faults.push(`the stream was answered with ${response.status}`)
        return
      }
      reading.ended = await readStream(response, reading, () => reading.seen.length >= leavesAt)
      if (!reading.ended) tally.add('readers that moved')
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof NoAnswer) && !isBroken(error)) throw error
      tally.add('readers that were cut off')
    }
    moves.abort()
    response = undefined
    if (!reading.ended) await pause(signal, random.int(5, 100))
  }
}

/** True where the stream came to its end, false where the reader left it. Throws where it broke. */
async function readStream(response: Response, reading: Reading, leaves: () => boolean): Promise<boolean> {
  if (response.body === null) return false
  let text = ''
  const decoder = new TextDecoder()
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true })
    const frames = text.split('\n\n')
    text = frames.pop() ?? ''
    frames.forEach((frame) => take(frame, reading))
    if (leaves()) return false
  }
  if (text !== '') reading.faults.push('the stream ended in the middle of an event')
  return true
}

function take(frame: string, reading: Reading): void {
  const fields = new Map(
    frame.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  )
  const id = fields.get('id')
  if (id === undefined) return
  // Numbers that are left out are frames of event streaming v2, which this stream does not send: the check knows them.
  if (Number(id) < reading.seen.length) {
    reading.faults.push(`event ${id} came after ${reading.seen.length - 1}`)
  }
  reading.seen[Number(id)] = hashEvent(fields.get('event') ?? '', fields.get('data') ?? '')
}

/** Undici's errors for a body that broke off. */
function isBroken(error: unknown): boolean {
  return (
    error instanceof TypeError || (error instanceof Error && /abort|terminated|socket/i.test(error.message))
  )
}
