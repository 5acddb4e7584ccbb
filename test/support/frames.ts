import { WebSocket } from 'ws'

/** A frame of event streaming v2. */
export interface Frame {
  event_id: string
  seq: number
  method: string
  params: { namespace: string[]; data: Record<string, unknown> }
}

/** All that a run tells. */
export const CHANNELS = [
  'values',
  'updates',
  'messages',
  'tools',
  'lifecycle',
  'input',
  'checkpoints',
  'tasks',
  'custom',
] as const

export type Last = (frame: Frame, at: number, all: Frame[]) => boolean

/** One connection and what came on it. */
export interface FrameReader {
  readonly frames: Frame[]
  /** The frames up to the first that is meant, as soon as it is there. Rejects when the connection ends before. */
  until(last: Last): Promise<Frame[]>
  /** Resolves when the connection is gone, whoever ended it. */
  readonly gone: Promise<void>
  close(): void
}

/** Collects what `start` puts, until it says that there is no more. */
function collect(
  start: (put: (frame: Frame) => void, end: (why: string) => void) => () => void,
): FrameReader {
  const frames: Frame[] = []
  let ended: string | undefined
  let told = Promise.withResolvers<void>()
  const gone = Promise.withResolvers<void>()
  const tell = () => {
    told.resolve()
    told = Promise.withResolvers<void>()
  }
  const close = start(
    (frame) => {
      frames.push(frame)
      tell()
    },
    (why) => {
      ended ??= why
      gone.resolve()
      tell()
    },
  )
  return {
    frames,
    gone: gone.promise,
    close,
    async until(last) {
      for (;;) {
        const found = frames.findIndex(last)
        if (found >= 0) return frames.slice(0, found + 1)
        if (ended !== undefined) throw new Error(`${ended}: ${JSON.stringify(frames)}`)
        await told.promise
      }
    },
  }
}

export function readSse(
  url: string,
  threadId: string,
  filter: object,
  headers: Record<string, string> = {},
): FrameReader {
  return collect((put, end) => {
    const gone = new AbortController()
    const read = async () => {
      const response = await fetch(`${url}/threads/${threadId}/stream/events`, {
        method: 'POST',
        headers,
        body: JSON.stringify(filter),
        signal: gone.signal,
      })
      if (response.status !== 200 || response.body === null)
        throw new Error(`${response.status} ${await response.text()}`)
      let text = ''
      for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
        text += chunk
        for (let at = text.indexOf('\n\n'); at >= 0; at = text.indexOf('\n\n')) {
          const [, data] = /^data: (.*)$/m.exec(text.slice(0, at)) ?? []
          const [, id] = /^id: (.*)$/m.exec(text.slice(0, at)) ?? []
          text = text.slice(at + 2)
          if (data === undefined) continue
          const frame = JSON.parse(data) as Frame
          if (frame.event_id !== id) throw new Error(`The id ${id} is not the frame's ${frame.event_id}.`)
          put(frame)
        }
      }
    }
    read().then(
      () => end('The stream ended'),
      (error: unknown) => end(`The stream broke: ${String(error)}`),
    )
    return () => gone.abort()
  })
}

export function readSocket(url: string, threadId: string, filter: object): FrameReader {
  return collect((put, end) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/threads/${threadId}/stream/events`)
    socket.on('open', () =>
      socket.send(JSON.stringify({ id: 1, method: 'subscription.subscribe', params: filter })),
    )
    socket.on('message', (data) => {
      const told = JSON.parse((data as Buffer).toString()) as Frame & { type: string; message?: string }
      if (told.type === 'event') put(told)
      else if (told.type === 'error') end(`The subscription was refused: ${told.message}`)
    })
    socket.on('error', (error: Error) => end(`The WebSocket broke: ${error.message}`))
    socket.on('close', () => end('The WebSocket ended'))
    return () => socket.close()
  })
}

export const READERS = { sse: readSse, websocket: readSocket }

/** The end of a run. */
export function ended({ method, params: { namespace, data } }: Frame): boolean {
  const ends = ['completed', 'failed', 'interrupted']
  return method === 'lifecycle' && namespace.length === 0 && ends.includes(String(data['event']))
}

/** The end of the nth run that was told of. */
export function endOf(n: number): Last {
  return (frame, at, all) => ended(frame) && all.slice(0, at + 1).filter(ended).length === n
}

/** Names of the namespace, without the tasks' ids. */
export function placeOf({ params }: Frame): string {
  return params.namespace.map((segment) => segment.split(':', 1)[0]).join('/')
}
