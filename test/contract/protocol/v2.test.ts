import type { AgentTreeNode as ProtocolTree, ErrorCode } from '@langchain/protocol'
import type { AgentTreeNode } from '../../../server/agent-tree.ts'
import type { ProtocolError } from '../../../server/command-error.ts'
import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { CHANNELS, ended, endOf, type Frame, type Last, readSse } from '../../support/frames.ts'
import { mailTo, says, untilThread, useStage, WAIT } from '../../support/stage.ts'

// The codes and the tree are of the protocol's own types.
const codes = (code: ProtocolError): ErrorCode => code
const trees = (tree: AgentTreeNode): ProtocolTree => tree

const TRANSPORTS = ['sse', 'websocket'] as const

onEachDatabase((database) => {
  const stage = useStage(database)

  const command = async (threadId: string, method: string, params: object = {}, id = 1) =>
    (await stage.http('POST', `/threads/${threadId}/commands`, { id, method, params })).json<{
      type: string
      error?: string
      message?: string
      result: { run_id?: string; values?: unknown; tree?: unknown }
      meta: { applied_through_seq: number }
    }>()
  const start = (threadId: string, input: unknown) =>
    command(threadId, 'run.start', { assistant_id: 'react', input })

  /** Frames of one connection of its own, until one says so. */
  async function framesUntil(threadId: string, filter: object, last: Last): Promise<Frame[]> {
    const reader = readSse(stage.url, threadId, filter)
    try {
      return await reader.until(last)
    } finally {
      reader.close()
    }
  }

  describe.each(TRANSPORTS)('the SDK, by %s', (transport) => {
    test('starts a run, streams its words and reads its values', async () => {
      stage.play({ content: 'Hello there.' })
      const thread = stage.client.threads.stream(newId(), { assistantId: 'react', transport })
      const words = (async () => {
        for await (const message of thread.messages) return await message.text
        return undefined
      })()
      await thread.run.start({ input: says('Hi.') })
      expect(await words).toBe('Hello there.')
      const values = (await thread.output) as { messages: { content: unknown }[] }
      expect(JSON.stringify(values.messages.at(-1)?.content)).toContain('Hello there.')
      await thread.close()
    })

    test('is asked, answers, and goes on', async () => {
      stage.play({ toolCalls: [mailTo(`v2 ${transport}`)] }, { content: 'Sent.' })
      const threadId = newId()
      const thread = stage.client.threads.stream(threadId, { assistantId: 'react', transport })
      const all = await thread.subscribe({ channels: [...CHANNELS] })
      await thread.run.start({ input: says('Mail them.') })
      let interruptId: string | undefined
      for await (const event of all as AsyncIterable<Frame>) {
        if (event.method === 'input.requested') interruptId = String(event.params.data['interrupt_id'])
        if (ended(event)) break
      }
      const row = await stage.client.threads.get(threadId)
      expect(row.status).toBe('interrupted')
      expect(row.values).toHaveProperty('messages')
      expect(
        Object.values(row.interrupts)
          .flat()
          .map(({ id }) => id),
      ).toEqual([interruptId])
      await thread.input.respond({
        namespace: [],
        interrupt_id: interruptId ?? '',
        response: { decisions: [{ type: 'approve' }] },
      })
      await untilThread(stage.client, threadId, 'idle')
      expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual(['approved'])
      await thread.close()
    })
  })

  test('every connection is told the same, each frame once, in order, across runs, whenever it comes', async () => {
    stage.play({ content: 'One.' }, { content: 'Two.' })
    const threadId = newId()
    const filter = { channels: CHANNELS }
    const early = framesUntil(threadId, filter, endOf(2))
    await start(threadId, says('1'))
    await framesUntil(threadId, filter, ended)
    await start(threadId, says('2'))
    const live = await early
    const replayed = await framesUntil(threadId, filter, endOf(2))
    expect(replayed).toEqual(live)
    expect(new Set(live.map(({ event_id }) => event_id)).size).toBe(live.length)
    expect(live.map(({ seq }) => seq)).toEqual(live.map(({ seq }) => seq).toSorted((a, b) => a - b))
    const middle = live[Math.floor(live.length / 2)] as Frame
    const rest = await framesUntil(
      threadId,
      { ...filter, since: middle.seq },
      (frame) => frame.event_id === live.at(-1)?.event_id,
    )
    expect(rest).toEqual(live.slice(live.indexOf(middle) + 1))
    const begun = live.filter(({ params }) => params.data['event'] === 'message-start')
    const values = live.findLast(({ method }) => method === 'values')?.params.data as {
      messages: { id: string; type: string }[]
    }
    const said = values.messages.filter(({ type }) => type === 'ai').map(({ id }) => id)
    expect(begun.map(({ params }) => params.data['id'])).toEqual(said)
    const lifecycle = await framesUntil(threadId, { channels: ['lifecycle'], extra: 1 }, ended)
    expect(lifecycle.map(({ method }) => method)).toEqual(lifecycle.map(() => 'lifecycle'))
  })

  test('calls of tools are told as they start and end, with their results and what went wrong', async () => {
    const list = { name: 'list_files', args: {} }
    const read = { name: 'read_file', args: { path: 'none.txt' } }
    stage.play({ toolCalls: [list, read] }, { content: 'Nothing is there.' })
    const threadId = newId()
    await start(threadId, says('Look.'))
    const frames = await framesUntil(threadId, { channels: ['tools', 'lifecycle'], depth: 1 }, ended)
    const told = frames.filter(({ method }) => method === 'tools').map(({ params }) => params.data)
    const ofTool = (name: string) => {
      const id = told.find(({ tool_name }) => tool_name === name)?.['tool_call_id']
      return told.filter(({ tool_call_id }) => tool_call_id === id)
    }
    expect(ofTool('list_files')).toMatchObject([
      { event: 'tool-started' },
      { event: 'tool-finished', output: { files: [] } },
    ])
    expect(ofTool('read_file')).toMatchObject([
      { event: 'tool-started', input: '{"path":"none.txt"}' },
      { event: 'tool-error', message: expect.stringContaining('none.txt') as string },
    ])
  })

  test('a legacy reader of such a run sees none of its frames', async () => {
    stage.play({ content: 'One.' })
    const threadId = newId()
    const { result } = await start(threadId, says('1'))
    await framesUntil(threadId, { channels: ['lifecycle'] }, ended)
    const events: string[] = []
    for await (const { event } of stage.client.runs.joinStream(threadId, result.run_id ?? ''))
      events.push(event)
    expect(events).toEqual(['metadata'])
  })

  test('a start is the answer where a question waits, and takes the same decision', async () => {
    stage.play({ toolCalls: [mailTo('v2 start')] }, { content: 'Not sent.' })
    const threadId = newId()
    await start(threadId, says('Mail them.'))
    await untilThread(stage.client, threadId, 'interrupted')
    expect(await start(threadId, { decisions: [{ type: 'nonsense' }] })).toMatchObject({
      type: 'error',
      error: 'invalid_argument',
    })
    expect(await start(threadId, { decisions: [{ type: 'reject', message: 'No.' }] })).toMatchObject({
      type: 'success',
    })
    await untilThread(stage.client, threadId, 'idle')
    expect((await stage.holds(threadId)).map(({ status }) => status)).toEqual(['rejected'])
  })

  test('the state and the tree of agents are read by commands', async () => {
    stage.play({ content: 'One.' })
    const threadId = newId()
    await start(threadId, says('1'))
    await framesUntil(threadId, { channels: ['lifecycle'] }, ended)
    const state = await command(threadId, 'state.get', { namespace: [], keys: ['messages'] })
    expect(Object.keys(state.result.values as object)).toEqual(['messages'])
    expect(state.meta.applied_through_seq).toBeGreaterThan(0)
    const tree = await command(threadId, 'agent.getTree')
    const root = trees(tree.result.tree as AgentTreeNode)
    expect(root).toMatchObject({ namespace: [], status: 'completed', graph_name: 'root' })
  })

  test('what cannot be done is told in the protocol’s codes', async () => {
    const threadId = await stage.thread()
    const code = async (method: string, params: object) => (await command(threadId, method, params)).error
    expect(await code('input.respond', { interrupt_id: 'x', response: 1 })).toBe(codes('no_such_interrupt'))
    expect(await code('input.respond', { responses: [] })).toBe('invalid_argument')
    expect(await code('input.inject', {})).toBe('not_supported')
    expect(await code('state.listCheckpoints', {})).toBe('not_supported')
    expect(await code('state.fork', {})).toBe('not_supported')
    expect(await code('subscription.reconnect', {})).toBe('not_supported')
    expect(await code('make.coffee', {})).toBe('unknown_command')
    expect(await code('agent.getTree', {})).toBe('no_such_run')
    const unknown = { id: 1, method: 'run.start', params: { assistant_id: 'nobody', input: {} } }
    const path = `/threads/${threadId}/commands`
    expect((await stage.http('POST', path, unknown)).status).toBe(404)
    expect((await stage.http('POST', path, { method: 'run.start' })).status).toBe(400)
    expect((await stage.http('POST', `/threads/${threadId}/stream/events`, {})).status).toBe(422)
  })

  test('a page of another origin opens no WebSocket', async () => {
    const { WebSocket } = await import('ws')
    const url = `${stage.url.replace('http', 'ws')}/threads/${newId()}/stream/events`
    const answer = await new Promise<string>((done) => {
      const socket = new WebSocket(url, { headers: { origin: 'https://evil.example' } })
      socket.on('open', () => done('open'))
      socket.on('error', (error: Error) => done(error.message))
    })
    expect(answer).toContain('403')
  })

  test('subscriptions that a client opens one after the other are sent one sequence', async () => {
    const { WebSocket } = await import('ws')
    stage.play({ content: 'One.' })
    const threadId = newId()
    await start(threadId, says('1'))
    await untilThread(stage.client, threadId, 'idle')
    const socket = new WebSocket(`${stage.url.replace('http', 'ws')}/threads/${threadId}/stream/events`)
    const methods: string[] = []
    const over = new Promise<void>((done) => {
      socket.on('message', (data) => {
        const frame = JSON.parse((data as Buffer).toString()) as Frame & { type: string; id?: number }
        if (frame.id === 1) subscribe(2, ['values'])
        if (frame.type === 'event') methods.push(frame.method)
        if (frame.type === 'event' && ended(frame)) done()
      })
    })
    const subscribe = (id: number, channels: string[]) =>
      socket.send(JSON.stringify({ id, method: 'subscription.subscribe', params: { channels } }))
    socket.on('open', () => subscribe(1, ['lifecycle']))
    await over
    socket.close()
    expect(methods.filter((method) => method === 'values')).toHaveLength(2)
  })

  test('a later subscription on a WebSocket is acknowledged, then sent what it missed', async () => {
    const { WebSocket } = await import('ws')
    stage.play({ content: 'One.' })
    const socket = new WebSocket(`${stage.url.replace('http', 'ws')}/threads/${newId()}/stream/events`)
    const got: { type: string; id?: number; method?: string; params?: Frame['params'] }[] = []
    const until = (found: () => boolean) =>
      new Promise<void>((done) => socket.on('message', () => found() && done()))
    socket.on('message', (data) => got.push(JSON.parse((data as Buffer).toString()) as (typeof got)[number]))
    await new Promise((done) => socket.on('open', done))
    const say = (id: number, method: string, params: object) =>
      socket.send(JSON.stringify({ id, method, params }))
    const end = until(() => got.some((frame) => frame.type === 'event' && ended(frame as unknown as Frame)))
    say(1, 'subscription.subscribe', { channels: ['lifecycle'] })
    say(2, 'run.start', { assistant_id: 'react', input: says('1') })
    await end
    expect(got.slice(0, 2).map(({ type, id }) => [type, id])).toEqual([
      ['success', 1],
      ['success', 2],
    ])
    const before = got.length
    const values = until(() => got.slice(before).some(({ method }) => method === 'values'))
    say(3, 'subscription.subscribe', { channels: ['values'] })
    await values
    expect(got[before]).toMatchObject({ type: 'success', id: 3 })
    say(4, 'subscription.unsubscribe', { subscription_id: 'none' })
    await until(() => got.at(-1)?.id === 4)
    expect(got.at(-1)).toMatchObject({ type: 'error', error: 'no_such_subscription' })
    socket.close()
  })
})

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: STATES })

  async function askedTwice() {
    const threadId = newId()
    const thread = stage.client.threads.stream(threadId, { assistantId: 'pair' })
    await thread.run.start({ input: { trail: [] } })
    await untilThread(stage.client, threadId, 'interrupted')
    const waiting = async () =>
      Object.values((await stage.client.threads.get(threadId)).interrupts)
        .flat()
        .map(({ id = '', value }) => ({ namespace: [], interrupt_id: id, response: `${String(value)} Yes` }))
    const trail = async () =>
      (await stage.client.threads.getState<{ trail: string[] }>(threadId)).values.trail.toSorted()
    return { threadId, thread, waiting, trail }
  }

  test('two questions are answered in one command, each with its own answer', async () => {
    const { threadId, thread, waiting, trail } = await askedTwice()
    await thread.input.respond({ responses: await waiting() })
    await untilThread(stage.client, threadId, 'idle')
    expect(await trail()).toEqual(['left: Left? Yes', 'right: Right? Yes'])
    await thread.close()
  })

  test('or one after the other: the first answer leaves the second question waiting', async () => {
    const { threadId, thread, waiting, trail } = await askedTwice()
    const [first, second] = await waiting()
    if (first === undefined || second === undefined) throw new Error('Two questions wait.')
    await thread.input.respond(first)
    await vi.waitFor(async () => expect(await waiting()).toEqual([second]), WAIT)
    await thread.input.respond(second)
    await untilThread(stage.client, threadId, 'idle')
    expect(await trail()).toEqual(['left: Left? Yes', 'right: Right? Yes'])
    await thread.close()
  })
})
