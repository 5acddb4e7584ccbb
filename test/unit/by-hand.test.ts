import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HumanMessage } from '@langchain/core/messages'
import { Command, MemorySaver } from '@langchain/langgraph'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { reactGraph } from '../../graphs/react.ts'
import { chatModel } from '../../models/chat.ts'
import { createGateway } from '../../models/gateway.ts'
import { byHand } from '../../runtime/by-hand.ts'
import { newId } from '../../runtime/ids.ts'
import { Services } from '../../runtime/services.ts'
import { MAILER, outboxMailer } from '../../tools/mailer.ts'
import { checkArgs } from '../../tools/check-edit.ts'
import { toolsNamed } from '../../tools/registry.ts'
import { startScriptedModel } from '../support/scripted-model.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'holdpoint-by-hand-'))
})
afterEach(() => rm(dir, { recursive: true }))

const MAIL = { to: 'ops@example.com', subject: 'Hello', body: 'It is done.' }

async function pausedAgent() {
  const script = await startScriptedModel([
    { toolCalls: [{ name: 'send_email', args: MAIL }] },
    { content: 'Sent.' },
  ])
  const model = createGateway([chatModel({ model: 'scripted', apiKey: 'none', baseUrl: script.url })])
  const agent = reactGraph({ tools: toolsNamed('send_email'), model }).compile({
    checkpointer: new MemorySaver(),
  })
  const hand = byHand({ services: new Services().with(MAILER, outboxMailer(join(dir, 'outbox'))), checkArgs })
  const threadId = newId()
  const config = { configurable: { thread_id: threadId } }
  const input = { messages: [new HumanMessage('Tell ops.')] }
  const paused = await hand.run(threadId, () => agent.invoke(input, config))
  const [asked] = (paused as unknown as { __interrupt__: { id: string; value: unknown }[] }).__interrupt__
  if (asked === undefined) throw new Error('The agent did not pause.')
  return { script, agent, hand, threadId, config, asked }
}

const outbox = () => readdir(join(dir, 'outbox')).catch(() => [])

test('a graph that is run by hand stops at a hold and sends what was released', async () => {
  const { script, agent, hand, threadId, config, asked } = await pausedAgent()
  expect(await outbox()).toEqual([])
  const answer = hand.decide(threadId, asked.value, [{ type: 'approve' }])
  const done = await hand.run(threadId, () =>
    agent.invoke(new Command({ resume: { [asked.id]: answer } }), config),
  )
  expect(done.end_reason).toBe('completed')
  expect(await outbox()).toHaveLength(1)
  await script.close()
})

test('an answer that nobody recorded releases nothing', async () => {
  const { script, agent, hand, threadId, config, asked } = await pausedAgent()
  const { holds } = asked.value as { holds: { approval_id: string; args_hash: string }[] }
  const forged = { decisions: holds.map((hold) => ({ ...hold, type: 'approve' })) }
  const done = await hand.run(threadId, () =>
    agent.invoke(new Command({ resume: { [asked.id]: forged } }), config),
  )
  expect(done.messages.at(-2)?.text).toContain('"code":"DENIED"')
  expect(await outbox()).toEqual([])
  await script.close()
})

test('outside a run no tool executes', async () => {
  const { agent, hand, threadId, config, asked, script } = await pausedAgent()
  const answer = hand.decide(threadId, asked.value, [{ type: 'approve' }])
  const done = await agent.invoke(new Command({ resume: { [asked.id]: answer } }), config)
  expect(done.messages.at(-2)?.text).toContain('only inside a Holdpoint run')
  expect(await outbox()).toEqual([])
  await script.close()
})
