import { expect, test, vi } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { onPostgres } from '../support/each-database.ts'
import { CHANNELS, endOf, type Frame, type FrameReader, readSocket, readSse } from '../support/frames.ts'
import { useProcesses } from '../support/processes.ts'
import { type Relay, startRelay } from '../support/relay.ts'
import { httpOn, moment, says, silent, WAIT } from '../support/stage.ts'

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const { closers, spawn, scripted } = useProcesses()

function follow(reader: FrameReader): FrameReader {
  closers.push(reader.close)
  return reader
}

const all = { channels: CHANNELS }

onPostgres((database) => {
  test('a reader sees a run through, whichever process executes it and whichever dies under it', async () => {
    const asked = moment()
    const model = await scripted(
      { toolCalls: [{ name: 'write_file', args: { path: 'a', content: 'x' } }] },
      silent(asked),
      { content: 'Done by another.' },
      { content: 'Once more.' },
    )
    const options = { ...database.place, modelUrl: model.url, env: { HOLDPOINT_LEASE_MS: '1000' } }
    const first = await spawn(options)
    const threadId = newId()
    const relay: Relay = await startRelay(first.url)
    closers.push(relay.close)
    // The SDK's own client, which comes back by itself to whoever answers there.
    const { Client } = await import('@langchain/langgraph-sdk')
    const client = new Client({ apiUrl: relay.url, apiKey: null })
    const thread = client.threads.stream(threadId, {
      assistantId: 'react',
      reconnectDelayMs: () => 50,
      maxReconnectAttempts: 1_000,
    })
    closers.push(() => thread.close())
    const got: Frame[] = []
    const subscription = await thread.subscribe({ channels: [...CHANNELS] })
    const ofSdk = (async () => {
      for await (const event of subscription as AsyncIterable<Frame>) {
        got.push(event)
        if (endOf(1)(event, got.length - 1, got)) return
      }
    })()

    await thread.run.start({ input: says('Write, then say.') })
    await asked.reached
    const second = await spawn(options)
    const onSecond = [
      follow(readSse(second.url, threadId, all)),
      follow(readSocket(second.url, threadId, all)),
    ]
    const onFirst = follow(readSse(first.url, threadId, all))
    const before = await onFirst.until(({ method }) => method === 'tools' || method === 'updates')
    relay.turn(second.url)
    await first.kill()
    await onFirst.gone
    // What it had, and what it is told where it comes back.
    const had = [...onFirst.frames]
    expect(had.length).toBeGreaterThanOrEqual(before.length)
    const lastId = had.at(-1)?.event_id ?? ''
    const back = follow(readSse(second.url, threadId, all, { 'last-event-id': lastId }))
    const bySeq = follow(readSse(second.url, threadId, { ...all, since: had.at(-1)?.seq }))

    const [whole, socket] = await Promise.all(onSecond.map((reader) => reader.until(endOf(1))))
    if (whole === undefined) throw new Error('Two readers were made.')
    expect(socket).toEqual(whole)
    const ids = whole.map(({ event_id: id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    // Numbers without a gap, but for the `metadata` of each attempt, which is no frame.
    const numbers = ids.map((id) => Number(id.split(':')[1]))
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
    const missing = Array.from({ length: numbers.at(-1) ?? 0 }, (_, n) => n).filter(
      (n) => !numbers.includes(n),
    )
    expect(missing).toHaveLength(2)
    const running = whole.filter(
      ({ params: { namespace, data } }) => namespace.length === 0 && data['event'] === 'running',
    )
    expect(running).toHaveLength(2)
    expect(whole.at(-1)?.params.data).toEqual({ event: 'completed', graph_name: 'root' })

    expect([...had, ...(await back.until(endOf(1)))]).toEqual(whole)
    expect([...had, ...(await bySeq.until(endOf(1)))]).toEqual(whole)
    await ofSdk
    expect(got.map(({ event_id: id }) => id)).toEqual(ids)

    // The next run is told to all of them, too: by the process that is left, and by one that comes to it.
    const third = await spawn(options)
    const start = { id: 1, method: 'run.start', params: { assistant_id: 'react', input: says('Again.') } }
    await httpOn(third.url)('POST', `/threads/${threadId}/commands`, start)
    const readers = [...onSecond, back, follow(readSocket(third.url, threadId, all))]
    const frames = await Promise.all(readers.map((reader) => reader.until(endOf(2))))
    expect(frames[1]).toEqual(frames[0])
    expect(frames[3]).toEqual(frames[0])
    expect([...had, ...(frames[2] ?? [])]).toEqual(frames[0])
  })

  /** One process executes a run whose model does not answer; another, which executes nothing, is read. */
  async function underWay() {
    const asked = moment()
    const model = await scripted(silent(asked))
    const options = { ...database.place, modelUrl: model.url }
    const executing = await spawn(options)
    const reading = await spawn({ ...options, env: { HOLDPOINT_WORKERS: '0' } })
    const threadId = newId()
    const readers = [readSse, readSocket].map((read) => follow(read(reading.url, threadId, all)))
    const params = { assistant_id: 'react', input: says('Take long.') }
    const command = { id: 1, method: 'run.start', params }
    const answer = await httpOn(executing.url)('POST', `/threads/${threadId}/commands`, command)
    const { result } = answer.json<{ result: { run_id: string } }>()
    await asked.reached
    for (const reader of readers) await reader.until(({ method }) => method === 'values')
    return { executing, reading, threadId, runId: result.run_id, readers }
  }

  async function expectInterrupted(readers: FrameReader[]): Promise<void> {
    for (const reader of readers) {
      const frames = await reader.until(endOf(1))
      expect(frames.at(-1)?.params.data).toEqual({ event: 'interrupted', graph_name: 'root' })
    }
  }

  test('a reader of another process is told the end of a run that is rolled back', async () => {
    const { reading, threadId, runId, readers } = await underWay()
    await reading.client.runs.cancel(threadId, runId, true, 'rollback')
    await expectInterrupted(readers)
    await vi.waitFor(async () => expect(await reading.client.runs.list(threadId)).toEqual([]), WAIT)
  })

  test('a run that is cancelled while nobody executes it has an end for its readers', async () => {
    const { executing, reading, threadId, runId, readers } = await underWay()
    expect(await executing.stop()).toBe(0)
    expect(await reading.client.runs.get(threadId, runId)).toMatchObject({ status: 'pending', attempt: 1 })
    await reading.client.runs.cancel(threadId, runId, true)
    await expectInterrupted(readers)
    expect(await reading.client.runs.get(threadId, runId)).toMatchObject({ status: 'interrupted' })
  })
})
