import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'

export type GraphName = 'two_nodes' | 'tool_loop' | 'long_thread' | 'asks'

export interface PipeRequest {
  id: number
  op: 'run' | 'state'
  graph: GraphName
  thread: string
  input?: unknown
  resume?: unknown
}

export type PipeAnswer = { id: number; value: unknown } | { id: number; error: string }

/** What a load is put on. */
export interface Target {
  thread(): Promise<string>
  /** Runs to the end, or to the pause. Returns the values. */
  run(thread: string, graph: GraphName, ask: { input: unknown } | { resume: unknown }): Promise<unknown>
  state(thread: string, graph: GraphName): Promise<unknown>
  /** One item for each event, when it arrives. Servers alone have that. */
  stream(thread: string, graph: GraphName, input: unknown): AsyncGenerator<string>
  /** Opens the thread's stream, which says nothing while nothing happens. Resolves once it is open. */
  read(thread: string): Promise<void>
  close(): void
}

export function openTarget(target: string): Target {
  return target.startsWith('unix:') ? overPipe(target.slice('unix:'.length)) : overHttp(target)
}

function overHttp(url: string): Target {
  const closing = new AbortController()
  async function ask(method: 'GET' | 'POST', path: string, body?: object): Promise<Response> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: closing.signal,
    })
    if (!response.ok)
      throw new Error(`${path} was answered with ${response.status}: ${await response.text()}`)
    return response
  }
  const bodyOf = (graph: GraphName, what: { input: unknown } | { resume: unknown }) => ({
    assistant_id: graph,
    durability: 'sync',
    config: { recursion_limit: 5_000 },
    ...('resume' in what ? { command: what } : what),
  })
  return {
    async thread() {
      const { thread_id: id } = (await (await ask('POST', '/threads', {})).json()) as { thread_id: string }
      return id
    },
    async run(thread, graph, what) {
      return await (await ask('POST', `/threads/${thread}/runs/wait`, bodyOf(graph, what))).json()
    },
    async state(thread) {
      return await (await ask('GET', `/threads/${thread}/state`)).json()
    },
    async *stream(thread, graph, input) {
      const body = { ...bodyOf(graph, { input }), stream_mode: ['updates'] }
      const response = await ask('POST', `/threads/${thread}/runs/stream`, body)
      for await (const chunk of response.body ?? [])
        for (const [, name = ''] of Buffer.from(chunk)
          .toString()
          .matchAll(/^event: ?(.+)$/gm))
          yield name
    },
    async read(thread) {
      const response = await ask('GET', `/threads/${thread}/stream`)
      response.body?.pipeTo(new WritableStream(), { signal: closing.signal }).catch(() => {})
    },
    close: () => closing.abort(),
  }
}

function overPipe(path: string): Target {
  const socket = connect(path)
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  let last = 0
  createInterface({ input: socket }).on('line', (line) => {
    const answer = JSON.parse(line) as PipeAnswer
    const asked = waiting.get(answer.id)
    waiting.delete(answer.id)
    if ('error' in answer) asked?.reject(new Error(answer.error))
    else asked?.resolve(answer.value)
  })
  const ask = (request: Omit<PipeRequest, 'id'>) => {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const id = ++last
    waiting.set(id, { resolve, reject })
    socket.write(`${JSON.stringify({ id, ...request })}\n`)
    return promise
  }
  const none = () => {
    throw new Error('The bare graph has no streams.')
  }
  return {
    thread: async () => randomUUID(),
    run: (thread, graph, what) => ask({ op: 'run', graph, thread, ...what }),
    state: (thread, graph) => ask({ op: 'state', graph, thread }),
    stream: none,
    read: none,
    close: () => socket.destroy(),
  }
}
