import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { CHANNELS, ended, readSse } from '../../support/frames.ts'
import { useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/large/langgraph.json', import.meta.url).pathname
const LIMIT = 2_000
const SIZE = 4_000

const REFERENCE = /artifact:sha256:[0-9a-f]{64}:\d+/g

interface Values {
  note: string
  document: string
  bytes: string
  nested: { page: string; scan: string; title: string }
  read: number
  messages: { id: string; content: unknown }[]
}

onEachDatabase((database) => {
  describe('what is larger than a state may show', () => {
    const stage = useStage(database, {
      HOLDPOINT_CONFIG: PROJECT,
      HOLDPOINT_STATE_LIMIT: String(LIMIT),
    })
    const sizes = { document: 'd€'.repeat(SIZE / 2), message: 'm"'.repeat(SIZE) }
    const written = async () => {
      const threadId = await stage.thread()
      const values = await stage.client.runs.wait(threadId, 'writes', { input: { size: SIZE } })
      return { threadId, values: values as unknown as Values }
    }
    const fetched = async (threadId: string, reference: string) => {
      const [, , sha256 = '', bytes] = reference.split(':')
      const answer = await fetch(`${stage.url}/threads/${threadId}/artifacts/${sha256}`)
      expect(answer.status).toBe(200)
      const body = Buffer.from(await answer.arrayBuffer())
      expect(body.length).toBe(Number(bytes))
      expect(createHash('sha256').update(body).digest('hex')).toBe(sha256)
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'application/octet-stream',
        'content-disposition': 'attachment',
        'x-content-type-options': 'nosniff',
      })
      return body
    }

    test('the graph has it as it is, clients a reference, by which they fetch it', async () => {
      const { threadId, values } = await written()
      expect(values.note).toBe('written')
      expect(values.read).toBe(SIZE + SIZE * 2 + SIZE * 2)
      expect(values.nested.title).toBe('of the page')
      expect((await fetched(threadId, values.document)).toString()).toBe(sizes.document)
      expect([...new Set(await fetched(threadId, values.bytes))]).toEqual([7])
      expect((await fetched(threadId, values.nested.page)).toString()).toBe('p'.repeat(SIZE * 2))
      expect([...new Set(await fetched(threadId, values.nested.scan))]).toEqual([9])
      const [long, image] = values.messages
      expect((await fetched(threadId, String(long?.content))).toString()).toBe(sizes.message)
      const [text, picture] = (image as { content: unknown }).content as [
        object,
        { image_url: { url: string } },
      ]
      expect(text).toEqual({ type: 'text', text: 'Look' })
      expect((await fetched(threadId, picture.image_url.url)).toString()).toMatch(
        /^data:image\/png;base64,iVBO/,
      )

      // The same, wherever the state is told.
      const state = await stage.client.threads.getState<Values>(threadId)
      expect(state.values).toEqual(values)
      expect((await stage.client.threads.get<Values>(threadId)).values).toEqual(values)
      const [head] = await stage.client.threads.getHistory<Values>(threadId)
      expect(head?.values).toEqual(values)
    })

    test('no event of a state has it, in any stream mode, and what a node says itself is whole', async () => {
      const threadId = await stage.thread()
      const told = new Map<string, string>()
      const modes = [
        'values',
        'updates',
        'messages',
        'messages-tuple',
        'tasks',
        'checkpoints',
        'debug',
        'events',
      ] as const
      const stream = stage.client.runs.stream(threadId, 'writes', {
        input: { size: SIZE },
        streamMode: [...modes, 'custom'],
      })
      for await (const { event, data } of stream)
        told.set(event, (told.get(event) ?? '') + JSON.stringify(data))
      expect([...told.keys()]).toEqual(
        expect.arrayContaining([
          'values',
          'updates',
          'messages',
          'messages/complete',
          'tasks',
          'checkpoints',
          'debug',
          'events',
          'custom',
        ]),
      )
      const custom = told.get('custom') ?? ''
      told.delete('custom')
      expect(custom).toContain('s'.repeat(SIZE))
      for (const [event, text] of told) {
        expect([event, text.includes('d€d€d€d€'), text.includes('m\\"m\\"m'), text.includes('pppp')]).toEqual(
          [event, false, false, false],
        )
        for (const reference of new Set(text.match(REFERENCE) ?? [])) await fetched(threadId, reference)
      }
      expect(told.get('updates')).toMatch(REFERENCE)
    })

    test('nor has a frame of event streaming v2', async () => {
      const threadId = newId()
      const run = { id: 1, method: 'run.start', params: { assistant_id: 'writes', input: { size: SIZE } } }
      expect((await stage.http('POST', `/threads/${threadId}/commands`, run)).status).toBe(200)
      const reader = readSse(stage.url, threadId, { channels: CHANNELS })
      const frames = await reader.until(ended)
      reader.close()
      const told = frames.filter(({ method }) => method !== 'custom').map((frame) => JSON.stringify(frame))
      for (const text of told) expect(text).not.toMatch(/d€d€d€|m\\"m\\"m|pppp/)
      expect(told.join('')).toMatch(REFERENCE)
      expect(frames.some((frame) => JSON.stringify(frame).includes('s'.repeat(SIZE)))).toBe(true)
      const got = await stage.http('POST', `/threads/${threadId}/commands`, {
        id: 2,
        method: 'state.get',
        params: {},
      })
      expect(got.json<{ result: { values: Values } }>().result.values.document).toMatch(REFERENCE)
    })

    test('what is sent back as a reference is what it was', async () => {
      const { threadId, values } = await written()
      const { document, nested, messages } = values
      const { scan: _, ...page } = nested
      await stage.client.threads.updateState(threadId, {
        values: { note: 'by hand', document, nested: page, messages },
        asNode: 'write',
      })
      await stage.client.runs.wait(threadId, 'writes', { input: null })
      const after = await stage.client.threads.getState<Values>(threadId)
      expect(after.values).toMatchObject({ note: 'by hand', document, messages, read: values.read })
      // As a run's input, too: useStream sends the messages that it knows.
      const again = await stage.client.runs.wait(threadId, 'writes', { input: { size: SIZE, messages } })
      expect((again as unknown as Values).messages).toEqual(messages)
      expect((await fetched(threadId, String(messages[0]?.content))).toString()).toBe(sizes.message)
    })

    test('a reference that nothing is behind is refused, and so is one to another thread and to bytes', async () => {
      const { threadId, values } = await written()
      const other = await stage.thread()
      await stage.client.runs.wait(other, 'writes', { input: { size: 1 } })
      const unknown = `artifact:sha256:${'0'.repeat(64)}:5000`
      const update = (id: string, document: unknown) =>
        stage.http('POST', `/threads/${id}/state`, { values: { document }, as_node: 'write' })
      for (const refused of [await update(threadId, unknown), await update(other, values.document)]) {
        expect(refused.status).toBe(422)
        expect(refused.text).toMatch(
          /names no artifact of the thread that this is for. Send the content itself/,
        )
      }
      const run = { assistant_id: 'writes', input: { note: values.document } }
      expect((await stage.http('POST', `/threads/${other}/runs`, run)).status).toBe(422)
      expect((await stage.http('POST', '/runs/wait', run)).status).toBe(422)
      expect((await stage.http('POST', '/runs/crons', { ...run, schedule: '0 0 1 1 *' })).status).toBe(422)
      const bytes = { assistant_id: 'writes', input: { bytes: values.bytes } }
      const refused = await stage.http('POST', `/threads/${threadId}/runs`, bytes)
      expect([refused.status, refused.text]).toEqual([422, expect.stringMatching(/stands for bytes/)])
      const many = Array.from({ length: 20_000 }, () => values.document)
      expect((await update(threadId, many)).text).toMatch(/stand for more than/)
      const absent = await stage.http('GET', `/threads/${other}/artifacts/${values.document.split(':')[2]}`)
      expect([absent.status, absent.text]).toEqual([404, expect.stringMatching(/No state of thread/)])
      expect((await stage.http('GET', `/threads/${threadId}/artifacts/no-hash`)).status).toBe(422)
      await stage.client.threads.delete(other)
    })

    test('a copy has it, too, and what was pruned is gone', async () => {
      const { threadId, values } = await written()
      const { thread_id: copy } = (await stage.client.threads.copy(threadId)) as unknown as {
        thread_id: string
      }
      await stage.client.threads.updateState(threadId, { values: { document: 'short' }, asNode: 'write' })
      await fetched(threadId, values.document)
      await stage.http('POST', '/threads/prune', { thread_ids: [threadId], strategy: 'keep_latest' })
      const sha256 = values.document.split(':')[2]
      expect((await stage.http('GET', `/threads/${threadId}/artifacts/${sha256}`)).status).toBe(404)
      expect((await fetched(copy, values.document)).toString()).toBe(sizes.document)
    })

    test('what is asked of people is shown to them as it is, and an answer may be as long', async () => {
      const threadId = await stage.thread()
      const events: string[] = []
      const stream = stage.client.runs.stream(threadId, 'asks', {
        input: { size: SIZE },
        streamMode: ['values', 'updates', 'tasks', 'debug'],
      })
      for await (const { data } of stream) events.push(JSON.stringify(data))
      const asked = 'a'.repeat(SIZE * 2)
      expect(events.join('')).not.toMatch(REFERENCE)
      expect(events.filter((data) => data.includes(asked)).length).toBeGreaterThan(1)
      const { interrupts } = await stage.client.threads.get(threadId)
      expect(Object.values(interrupts).flat()[0]?.value).toEqual({ about: asked })
      const { tasks } = await stage.client.threads.getState(threadId)
      expect(tasks[0]?.interrupts[0]?.value).toEqual({ about: asked })
      const values = await stage.client.runs.wait(threadId, 'asks', { command: { resume: 'y'.repeat(SIZE) } })
      expect(values).toMatchObject({ note: 'y'.repeat(10) })
    })
  })

  describe('what is larger than a state may be', () => {
    const stage = useStage(database, {
      HOLDPOINT_CONFIG: PROJECT,
      HOLDPOINT_STATE_LIMIT: String(LIMIT),
      HOLDPOINT_STATE_OVER_LIMIT: 'error',
    })

    for (const durability of ['sync', 'async', 'exit'] as const)
      test(`ends its run with an error that says what to do, and the state is as before it (${durability})`, async () => {
        const threadId = await stage.thread()
        await expect(
          stage.client.runs.wait(threadId, 'writes', { input: { size: SIZE }, durability }),
        ).rejects.toThrow(/StateTooLarge/)
        const [run] = await stage.client.runs.list(threadId)
        expect(run).toMatchObject({ status: 'error', error: { error: 'StateTooLarge' } })
        expect(String((run as unknown as { error: { message: string } }).error.message)).toMatch(
          /^A value of channel \w+ has \d+ bytes, and HOLDPOINT_STATE_LIMIT allows 2000\. Keep the content elsewhere/,
        )
        const { values } = await stage.client.threads.getState<Values>(threadId)
        expect(values.document).toBeUndefined()
        // What runs ahead of its checkpoints may lose those that are not stored yet.
        if (durability === 'sync') expect(values.note).toBe('before')
        // The thread goes on.
        const small = await stage.client.runs.wait(threadId, 'writes', { input: { size: 100 } })
        expect((small as unknown as Values).note).toBe('written')
      })

    test('is refused at the door, in a change by hand and in a run', async () => {
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'writes', { input: { size: 100 } })
      const before = await stage.client.threads.getState<Values>(threadId)
      const document = 'd'.repeat(LIMIT)
      const answers = [
        await stage.http('POST', `/threads/${threadId}/state`, { values: { document }, as_node: 'write' }),
        await stage.http('POST', `/threads/${threadId}/runs`, {
          assistant_id: 'writes',
          input: { document },
        }),
        await stage.http('POST', `/threads/${threadId}/runs`, {
          assistant_id: 'writes',
          input: {
            messages: [
              { role: 'user', content: 'short' },
              { role: 'user', content: document },
            ],
          },
        }),
      ]
      for (const { status, text } of answers)
        expect([status, text]).toEqual([413, expect.stringMatching(/HOLDPOINT_STATE_LIMIT allows 2000/)])
      expect((await stage.client.threads.getState<Values>(threadId)).checkpoint).toEqual(before.checkpoint)
      // As large as it may be, and messages that are larger together.
      const texts = ['1', '2', '3'].map((id) => ({ role: 'user', id, content: 't'.repeat(LIMIT / 2) }))
      const tags = Array.from({ length: 60 }, (_, index) => `tag ${index} ${'€'.repeat(12)}`)
      const most = { document: 'd'.repeat(LIMIT - 2), messages: texts, tags }
      const answer = await stage.http('POST', `/threads/${threadId}/state`, {
        values: most,
        as_node: 'write',
      })
      expect([answer.status, answer.text]).toEqual([200, expect.any(String)])
      const wide = { messages: texts, tags, size: 100 }
      await stage.client.runs.wait(threadId, 'writes', { input: wide })
      const copy = await stage.http('POST', `/threads/${threadId}/copy`)
      expect([copy.status, copy.text]).toEqual([200, expect.any(String)])
    })
  })
})
