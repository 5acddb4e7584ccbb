import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import {
  CHANNELS,
  ended,
  endOf,
  type Frame,
  placeOf,
  READERS,
  readSocket,
  readSse,
} from '../../support/frames.ts'
import type { ScriptedStep } from '../../support/scripted-model.ts'
import { type Relay, startRelay } from '../../support/relay.ts'
import { moment, says, silent, type Stage, untilThread, useStage, WAIT } from '../../support/stage.ts'

const PROJECT = new URL('../../support/frames/langgraph.json', import.meta.url).pathname
const TRANSPORTS = ['sse', 'websocket'] as const

onEachDatabase((database) => {
  describe('frames of a graph with depth', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
    const all = { channels: CHANNELS }
    const read = (threadId: string, transport: (typeof TRANSPORTS)[number], filter: object = all) =>
      READERS[transport](stage.url, threadId, filter)

    /** A thread whose runs have ended, and what they told. */
    async function told(graph: string, runs = 1): Promise<{ threadId: string; frames: Frame[] }> {
      const threadId = newId()
      const reader = readSse(stage.url, threadId, all)
      for (let run = 1; run <= runs; run++) {
        await command(stage, threadId, 'run.start', { assistant_id: graph, input: { trail: [] } })
        await reader.until(endOf(run))
      }
      reader.close()
      return { threadId, frames: await reader.until(endOf(runs)) }
    }

    test('server-sent events and a WebSocket tell the same frames, live and again', async () => {
      const threadId = newId()
      const live = TRANSPORTS.map((transport) => read(threadId, transport))
      await command(stage, threadId, 'run.start', { assistant_id: 'nested', input: { trail: [] } })
      const first = await live[0]?.until(endOf(1))
      await command(stage, threadId, 'run.start', { assistant_id: 'nested', input: { trail: [] } })
      const again = TRANSPORTS.map((transport) => read(threadId, transport))
      const [expected, ...others] = await Promise.all(
        [...live, ...again].map((reader) => reader.until(endOf(2))),
      )
      for (const frames of others) expect(frames).toEqual(expected)
      expect(expected?.slice(0, first?.length)).toEqual(first)
      expectOrdered(expected ?? [])
      for (const reader of [...live, ...again]) reader.close()
    })

    test('a reader that comes back after any frame is told the rest, by position and by id', async () => {
      const { threadId, frames } = await told('asks')
      const last = (frame: Frame) => frame.event_id === frames.at(-1)?.event_id
      for (const [at, { seq, event_id: id }] of frames.slice(0, -1).entries()) {
        const byPosition = readSse(stage.url, threadId, { ...all, since: seq })
        const byId = readSse(stage.url, threadId, all, { 'last-event-id': id })
        const rest = frames.slice(at + 1)
        expect(await byPosition.until(last)).toEqual(rest)
        expect(await byId.until(last)).toEqual(rest)
        byPosition.close()
        byId.close()
      }
      for (const id of ['x', `${newId()}`, `${newId()}:x`]) {
        const answer = await stage.http('POST', `/threads/${threadId}/stream/events`, all, {
          'last-event-id': id,
        })
        expect([answer.status, answer.text]).toEqual([422, expect.stringContaining('Last-Event-ID')])
      }
      // Of a run that is not there (any more) nobody knows what came after it.
      const lost = readSse(stage.url, threadId, all, { 'last-event-id': `${newId()}:3` })
      expect(await lost.until(last)).toEqual(frames)
      lost.close()
    })

    const FILTERS: [string, object, (frame: Frame) => boolean][] = [
      ['a channel', { channels: ['updates'] }, ({ method }) => method === 'updates'],
      [
        'the root alone',
        { channels: ['values', 'lifecycle'], namespaces: [[]], depth: 0 },
        (frame) => ['values', 'lifecycle'].includes(frame.method) && placeOf(frame) === '',
      ],
      [
        'one step down, wherever',
        { channels: ['values', 'lifecycle'], depth: 1 },
        (frame) => ['values', 'lifecycle'].includes(frame.method) && ['', 'works'].includes(placeOf(frame)),
      ],
      [
        'all below a node, whatever its task',
        { channels: ['values', 'lifecycle'], namespaces: [['works']] },
        (frame) => ['values', 'lifecycle'].includes(frame.method) && placeOf(frame).startsWith('works'),
      ],
      [
        'a node and no deeper, or one that is not there',
        { channels: ['values', 'lifecycle'], namespaces: [['works'], ['nowhere']], depth: 0 },
        (frame) => ['values', 'lifecycle'].includes(frame.method) && placeOf(frame) === 'works',
      ],
      [
        'a place two down',
        { channels: ['updates', 'lifecycle'], namespaces: [['works', 'inside']] },
        (frame) => ['updates', 'lifecycle'].includes(frame.method) && placeOf(frame) === 'works/inside',
      ],
      ['all that a graph tells by itself', { channels: ['custom'] }, ({ method }) => method === 'custom'],
      [
        'a channel that a node names',
        { channels: ['custom:progress'] },
        ({ method, params }) => method === 'custom' && params.data['name'] === 'progress',
      ],
      [
        'a channel of a transformer, at the root',
        { channels: ['custom:counted'], namespaces: [[]], depth: 0 },
        (frame) =>
          frame.method === 'custom' && frame.params.data['name'] === 'counted' && placeOf(frame) === '',
      ],
    ]
    test.each(TRANSPORTS)('filters by channel, place and depth hold, by %s', async (transport) => {
      // Two runs: a frame too many of the first would stand before those of the second.
      const { threadId, frames } = await told('nested', 2)
      for (const [what, filter, wanted] of FILTERS) {
        const expected = frames.filter(wanted)
        // What is expected of a filter that lets nothing or all through would prove nothing.
        expect(expected.length, what).toBeGreaterThan(0)
        expect(expected.length, what).toBeLessThan(frames.length)
        const reader = read(threadId, transport, filter)
        const got = await reader.until((_, at) => at === expected.length - 1)
        expect(got, what).toEqual(expected)
        reader.close()
      }
    })

    test('a place with the id of its task is that task alone', async () => {
      const { threadId, frames } = await told('nested', 2)
      const places = [
        ...new Set(
          frames.filter((frame) => placeOf(frame) === 'works').map(({ params }) => params.namespace[0] ?? ''),
        ),
      ]
      expect(places).toHaveLength(2)
      const filter = { channels: ['values'], namespaces: [[places[1] ?? '']] }
      const second = readSse(stage.url, threadId, filter)
      const expected = frames.filter(
        ({ method, params }) => method === 'values' && params.namespace[0] === places[1],
      )
      expect(await second.until((_, at) => at === expected.length - 1)).toEqual(expected)
      second.close()
    })

    test('several questions are answered together, or one after the other', async () => {
      for (const together of [true, false]) {
        const { threadId, frames } = await told('asks')
        const asked = frames.filter(({ method }) => method === 'input.requested')
        const idOf = (question: string) =>
          asked.find(({ params }) => params.data['payload'] === question)?.params.data['interrupt_id']
        const left = { interrupt_id: idOf('Left?'), response: 'l' }
        const right = { interrupt_id: idOf('Right?'), response: 'r' }
        expect(asked).toHaveLength(2)
        const reader = readSocket(stage.url, threadId, all)
        if (together) {
          const answers = { responses: [left, right] }
          expect(await command(stage, threadId, 'input.respond', answers)).toMatchObject({ type: 'success' })
          await reader.until(endOf(2))
        } else {
          expect(await command(stage, threadId, 'input.respond', left)).toMatchObject({ type: 'success' })
          const rest = (await reader.until(endOf(2))).slice(frames.length)
          expect(rest.at(-1)?.params.data['event']).toBe('interrupted')
          expect(await command(stage, threadId, 'input.respond', left)).toMatchObject({
            type: 'error',
            error: 'no_such_interrupt',
          })
          await command(stage, threadId, 'input.respond', right)
          await reader.until(endOf(3))
        }
        expect(reader.frames.at(-1)?.params.data['event']).toBe('completed')
        expectOrdered(reader.frames)
        reader.close()
        const { values } = await stage.client.threads.get(threadId)
        expect((values as { trail: string[] }).trail.toSorted()).toEqual(['left: l', 'right: r'])
      }
    })

    test('runs of the legacy routes and of this protocol are seen by the readers of either', async () => {
      const threadId = newId()
      const readers = TRANSPORTS.map((transport) => read(threadId, transport))
      await stage.client.threads.create({ threadId })
      const gone = new AbortController()
      const joined: [string, unknown][] = []
      const joining = (async () => {
        const modes = { lastEventId: '-', streamMode: ['lifecycle' as const], signal: gone.signal }
        for await (const { event, data } of stage.client.threads.joinStream(threadId, modes))
          joined.push([event, data])
      })().catch(() => {})

      const legacy = await stage.client.runs.create(threadId, 'asks', { input: { trail: [] } })
      const asked = (await readers[0]?.until(endOf(1))) ?? []
      expect(asked.map(({ method }) => method)).toEqual([
        'lifecycle',
        'values',
        'values',
        'values',
        'input.requested',
        'input.requested',
        'lifecycle',
      ])
      expect(asked.at(-1)?.params.data).toEqual({ event: 'interrupted', graph_name: 'root' })
      // What a legacy run asked is answered here, and what is asked here there.
      const ids = asked.flatMap(({ params }) => (params.data['interrupt_id'] as string | undefined) ?? [])
      await command(stage, threadId, 'input.respond', { interrupt_id: ids[0], response: '1' })
      await readers[0]?.until(endOf(2))
      const rest = { command: { resume: { [ids[1] ?? '']: '2' } } }
      expect(await stage.client.runs.wait(threadId, 'asks', rest)).toHaveProperty('trail')
      const [sse, socket] = await Promise.all(readers.map((reader) => reader.until(endOf(3))))
      expect(socket).toEqual(sse)
      expectOrdered(sse ?? [])
      const ends = sse?.filter(ended).map(({ params }) => params.data['event'])
      expect(ends).toEqual(['interrupted', 'interrupted', 'completed'])
      const runs = await stage.client.runs.list(threadId)
      await vi.waitFor(() => {
        const done = joined.filter(([, data]) => (data as { status?: string }).status === 'run_done')
        expect(done.map(([, data]) => (data as { run_id: string }).run_id)).toEqual(
          runs.map(({ run_id: id }) => id).toReversed(),
        )
      }, WAIT)
      expect(runs.at(-1)?.run_id).toBe(legacy.run_id)
      gone.abort()
      await joining
      for (const reader of readers) reader.close()
    })
  })

  describe('runs that do not come to their own end', () => {
    const stage = useStage(database)

    /** A run of this protocol, on a thread of its own, whose model does not answer. */
    async function underWay(...next: ScriptedStep[]) {
      const threadId = newId()
      const asked = moment()
      stage.play(silent(asked), ...next)
      const started = await command(stage, threadId, 'run.start', { assistant_id: 'react', input: says('1') })
      await asked.reached
      return { threadId, runId: started.result.run_id ?? '' }
    }
    const cut = (runId: string) => (frame: Frame) => ended(frame) && frame.event_id.startsWith(runId)
    const readers = (threadId: string) =>
      TRANSPORTS.map((transport) =>
        READERS[transport](stage.url, threadId, { channels: ['lifecycle', 'values'] }),
      )

    test.each([
      ['is cancelled', 'interrupt'],
      ['is rolled back', 'rollback'],
    ] as const)('whoever follows one that %s is told its end, and then of the next', async (_, action) => {
      const { threadId, runId } = await underWay({ content: 'Later.' })
      const following = readers(threadId)
      for (const reader of following) await reader.until(({ method }) => method === 'values')
      await stage.client.runs.cancel(threadId, runId, true, action)
      for (const reader of following) {
        const frames = await reader.until(cut(runId))
        expect(frames.at(-1)?.params.data).toEqual({ event: 'interrupted', graph_name: 'root' })
      }
      if (action === 'rollback') expect(await stage.client.runs.list(threadId)).toEqual([])
      await command(stage, threadId, 'run.start', { assistant_id: 'react', input: says('2') })
      const [sse, socket] = await Promise.all(following.map((reader) => reader.until(endOf(2))))
      expect(socket?.map(({ event_id: id }) => id)).toEqual(sse?.map(({ event_id: id }) => id))
      expectOrdered(sse ?? [])
      expect(sse?.at(-1)?.params.data['event']).toBe('completed')
      for (const reader of following) reader.close()
    })

    test('one that a new run rolls back ends before the new one begins', async () => {
      const { threadId, runId } = await underWay({ content: 'Later.' })
      const following = readers(threadId)
      for (const reader of following) await reader.until(({ method }) => method === 'values')
      const params = { assistant_id: 'react', input: says('2'), multitaskStrategy: 'rollback' }
      const { result } = await command(stage, threadId, 'run.start', params)
      for (const reader of following) {
        const frames = await reader.until(endOf(2))
        const runs = frames.map(({ event_id: id }) => id.split(':', 1)[0])
        expect(runs).toEqual(
          runs.toSorted((a, b) => [runId, result.run_id].indexOf(a) - [runId, result.run_id].indexOf(b)),
        )
        expect(frames.findIndex(cut(runId))).toBe(runs.lastIndexOf(runId))
        reader.close()
      }
    })

    test('one whose thread is deleted is told the end of', async () => {
      const { threadId, runId } = await underWay()
      const following = readers(threadId)
      for (const reader of following) await reader.until(({ method }) => method === 'values')
      await stage.client.threads.delete(threadId)
      for (const reader of following) {
        expect((await reader.until(cut(runId))).at(-1)?.params.data['event']).toBe('interrupted')
        reader.close()
      }
    })

    test('a legacy reader of the thread is told, too', async () => {
      const { threadId, runId } = await underWay()
      const joined = stage.client.threads.joinStream(threadId, {
        lastEventId: '-',
        streamMode: ['lifecycle'],
      })
      const begun = await joined.next()
      expect(begun.value?.data).toMatchObject({ run_id: runId, attempt: 1 })
      await stage.client.runs.cancel(threadId, runId, false, 'rollback')
      expect((await joined.next()).value?.data).toEqual({ run_id: runId, status: 'run_done' })
      await joined.return(undefined)
    })
  })

  describe('the SDK, whose connections break', () => {
    const stage = useStage(database)
    let relay: Relay | undefined

    test.each(TRANSPORTS)(
      'comes back by itself, and misses and doubles nothing, by %s',
      async (transport) => {
        const asked = [moment(), moment()]
        const release = [moment(), moment()]
        stage.play(
          ...[0, 1].map((n) => async () => {
            asked[n]?.reach()
            await release[n]?.reached
            return n === 0
              ? { toolCalls: [{ name: 'write_file', args: { path: 'a', content: 'x' } }] }
              : { content: 'Done.' }
          }),
        )
        relay = await startRelay(stage.url)
        const { Client } = await import('@langchain/langgraph-sdk')
        const client = new Client({ apiUrl: relay.url, apiKey: null })
        const threadId = newId()
        let breaks = 0
        const thread = client.threads.stream(threadId, {
          assistantId: 'react',
          transport,
          reconnectDelayMs: () => 1,
          onReconnect: () => breaks++,
        })
        const subscription = await thread.subscribe({ channels: [...CHANNELS] })
        const got: Frame[] = []
        const reading = (async () => {
          for await (const event of subscription as AsyncIterable<Frame>) {
            got.push(event)
            if (ended(event)) return
          }
        })()
        await thread.run.start({ input: says('Write.') })
        let before = 0
        for (const n of [0, 1]) {
          await asked[n]?.reached
          // It is connected, and the model is still silent: what it is told next it has to come back for.
          await vi.waitFor(() => expect(got.length).toBeGreaterThan(before), WAIT)
          before = got.length
          relay.cut()
          await vi.waitFor(() => expect(breaks).toBeGreaterThan(n), WAIT)
          release[n]?.reach()
        }
        await reading
        const whole = readSse(stage.url, threadId, { channels: CHANNELS })
        const expected = await whole.until(endOf(1))
        expect(got.map(({ event_id: id }) => id)).toEqual(expected.map(({ event_id: id }) => id))
        whole.close()
        await thread.close()
        await relay.close()
      },
    )
  })
})

onEmbedded((database) => {
  describe('a server that takes two streams', () => {
    const stage = useStage(database, { HOLDPOINT_MAX_STREAMS: '2', HOLDPOINT_CONFIG: PROJECT })

    test('counts no handshake that breaks off, or is refused', async () => {
      const { hostname, port, host } = new URL(stage.url)
      const handshake = (key: string) =>
        [
          `GET /threads/${newId()}/stream/events HTTP/1.1`,
          `host: ${host}`,
          'connection: upgrade',
          'upgrade: websocket',
          'sec-websocket-version: 13',
          `sec-websocket-key: ${key}`,
          '',
          '',
        ].join('\r\n')
      for (let n = 0; n < 6; n++) {
        const socket = connect(Number(port), hostname)
        socket.on('error', () => {})
        await once(socket, 'connect')
        if (n % 2 === 0) {
          socket.write(handshake('no key'))
          const [answer] = (await once(socket, 'data')) as [Buffer]
          // 503 would be the streams that are open, of which there are none.
          expect(answer.toString()).toMatch(/^HTTP\/1.1 400 /)
          socket.destroy()
        } else {
          socket.write(handshake('dGhlIHNhbXBsZSBub25jZQ=='), () => socket.resetAndDestroy())
        }
        await once(socket, 'close')
      }
      const threadId = newId()
      await command(stage, threadId, 'run.start', { assistant_id: 'nested', input: { trail: [] } })
      await untilThread(stage.client, threadId, 'idle')
      await vi.waitFor(async () => {
        const readers = [0, 1].map(() => readSocket(stage.url, threadId, { channels: ['values'] }))
        try {
          await Promise.all(readers.map((reader) => reader.until((_, at) => at === 0)))
        } finally {
          for (const reader of readers) reader.close()
        }
      }, WAIT)
    })
  })
})

interface CommandAnswer {
  type: string
  error?: string
  result: { run_id?: string }
}

async function command(
  stage: Stage,
  threadId: string,
  method: string,
  params: object,
): Promise<CommandAnswer> {
  const answer = await stage.http('POST', `/threads/${threadId}/commands`, { id: 1, method, params })
  return answer.json<CommandAnswer & Record<string, unknown>>()
}

/** Each once, in one order. */
function expectOrdered(frames: Frame[]): void {
  expect(new Set(frames.map(({ event_id: id }) => id)).size).toBe(frames.length)
  const positions = frames.map(({ seq }) => seq)
  expect(positions).toEqual(positions.toSorted((a, b) => a - b))
  expect(new Set(positions).size).toBe(positions.length)
}
