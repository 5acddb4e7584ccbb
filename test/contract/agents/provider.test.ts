import { afterAll, beforeAll, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEmbedded } from '../../support/each-database.ts'
import { type RawProvider, startRawProvider } from '../../support/raw-provider.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'
import { holdsOn, httpOn, mailsAbout, mailsIn, mailTo, says } from '../../support/stage.ts'

interface Message {
  id: string
  type: string
  content: string
  tool_calls?: { id: string; name: string }[]
  tool_call_id?: string
}

const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/

onEmbedded((database) => {
  let provider: RawProvider | undefined
  let server: TestServer | undefined
  beforeAll(async () => {
    provider = await startRawProvider()
    const env = { HOLDPOINT_MODELS: 'first,second' }
    server = await startTestServer({ ...database.place, modelUrl: provider.url, env })
  })
  afterAll(async () => {
    await server?.close()
    await provider?.close()
  })
  const up = () => {
    if (server === undefined || provider === undefined) throw new Error('They are up from beforeAll on.')
    return { server, provider, client: server.client }
  }
  const mail = (subject: string) => JSON.stringify(mailTo(subject).args)

  for (const streamMode of ['values', 'messages-tuple'] as const) {
    test(`ids that a provider repeats or leaves out become ids of ours, each its own (${streamMode})`, async () => {
      const { provider, client } = up()
      const list = { name: 'list_files', arguments: '{}' }
      provider.play(
        { calls: [{ ...list, id: 'call_1' }, { ...list, id: 'call_1' }, list, list] },
        {
          calls: [
            { ...list, id: 'call_1' },
            { ...list, id: '' },
          ],
        },
        { content: 'Done.' },
      )
      const { thread_id: threadId } = await client.threads.create()
      for await (const _ of client.runs.stream(threadId, 'react', { input: says('List.'), streamMode }))
        void _
      const { messages } = (await client.threads.getState<{ messages: Message[] }>(threadId)).values
      const ids = messages.filter(({ type }) => type === 'ai').map(({ id }) => id)
      const callIds = messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id))
      expect(ids).toHaveLength(3)
      expect(callIds).toHaveLength(6)
      expect(new Set([...ids, ...callIds]).size).toBe(9)
      for (const id of [...ids, ...callIds]) expect(id).toMatch(UUID7)
      expect(messages.flatMap(({ tool_call_id }) => tool_call_id ?? [])).toEqual(callIds)
      // What goes back to the provider is consistent, too.
      const sent = provider.requests.at(-1)?.messages ?? []
      expect(sent.flatMap(({ tool_call_id }) => tool_call_id ?? [])).toEqual(callIds)
    })
  }

  test('an answer that breaks off and the one that another model gives instead are one message', async () => {
    const { provider, client } = up()
    async function* breaks(): AsyncGenerator<string> {
      yield 'Half of'
      await until
      throw new Error('gone')
    }
    const { promise: until, resolve: go } = Promise.withResolvers<void>()
    provider.play({ content: breaks() }, { content: 'The whole.' })
    const { thread_id: threadId } = await client.threads.create()
    const said: Message[] = []
    const asked = { input: says('Speak.'), streamMode: 'messages-tuple' as const }
    for await (const { event, data } of client.runs.stream(threadId, 'react', asked)) {
      if (event === 'messages') said.push((data as unknown as [Message])[0])
      if (said.some(({ content }) => content === 'Half of')) go()
    }
    const { messages } = (await client.threads.getState<{ messages: Message[] }>(threadId)).values
    const last = messages.at(-1)
    expect(said.map(({ content }) => content).filter((text) => text !== '')).toEqual([
      'Half of',
      'The whole.',
    ])
    expect(last?.content).toBe('The whole.')
    expect(last?.id).toMatch(UUID7)
    expect(new Set(said.map(({ id }) => id))).toEqual(new Set([last?.id]))
    expect(provider.requests).toHaveLength(2)
  })

  test('two held calls with one id of the provider are two approvals', async () => {
    const { provider, client, server } = up()
    const [one, two] = [newId(), newId()]
    provider.play(
      {
        calls: [
          { id: 'call_1', name: 'send_email', arguments: mail(one) },
          { id: 'call_1', name: 'send_email', arguments: mail(two) },
        ],
      },
      { content: 'Done.' },
    )
    const { thread_id: threadId } = await client.threads.create()
    await client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const holds = await holdsOn(server.url, threadId)
    expect(holds).toHaveLength(2)
    const decide = (index: number, type: string) =>
      httpOn(server.url)('POST', `/approvals/${holds[index]?.approval_id}/decisions`, { type })
    await decide(0, 'reject')
    const last = await decide(1, 'approve')
    await client.runs.join(threadId, last.json<{ resumed_run_id: string }>().resumed_run_id)
    expect(await mailsAbout(one, () => mailsIn(server.dataDir))).toBe(0)
    expect(await mailsAbout(two, () => mailsIn(server.dataDir))).toBe(1)
  })

  test('the same mail asked for twice is two calls: one approval does not release the other', async () => {
    const { provider, client, server } = up()
    const subject = newId()
    const call = { id: 'call_1', name: 'send_email', arguments: mail(subject) }
    provider.play({ calls: [call] }, { calls: [call] }, { content: 'Done.' })
    const { thread_id: threadId } = await client.threads.create()
    await client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [first] = await holdsOn(server.url, threadId, 'pending')
    await client.runs.wait(threadId, 'react', { command: { resume: { type: 'approve' } } })
    const [second, ...others] = await holdsOn(server.url, threadId, 'pending')
    expect(others).toEqual([])
    expect(second?.approval_id).not.toBe(first?.approval_id)
    expect(await mailsAbout(subject, () => mailsIn(server.dataDir))).toBe(1)
  })

  test('arguments that are no JSON, a call without a name: answered, told to the model, not run', async () => {
    const { provider, client, server } = up()
    provider.play(
      {
        calls: [
          { id: 'a', name: 'send_email', arguments: '{"to": "ops@exam' },
          { id: 'b', name: 'send_email', arguments: '' },
          { id: 'c', name: 'list_files', arguments: '[1]' },
          { id: 'd', name: 'list_files', arguments: 'null' },
          { id: 'e', arguments: '{}' },
        ],
      },
      { content: 'I see.' },
    )
    const { thread_id: threadId } = await client.threads.create()
    const values = (await client.runs.wait(threadId, 'react', { input: says('Break it.') })) as unknown as {
      messages: Message[]
      end_reason: string
    }
    expect(values.end_reason).toBe('completed')
    const calls = values.messages.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id))
    const answers = values.messages.filter(({ type }) => type === 'tool')
    expect(answers.map(({ tool_call_id = '' }) => tool_call_id).toSorted()).toEqual(calls.toSorted())
    expect(answers.length).toBeGreaterThanOrEqual(4)
    for (const { content } of answers) expect(content).toMatch(/"code":"(INVALID_ARGS|DENIED)"/)
    expect(await holdsOn(server.url, threadId)).toEqual([])
    expect(provider.requests.at(-1)?.messages.filter(({ role }) => role === 'tool')).toHaveLength(
      answers.length,
    )
  })
})
