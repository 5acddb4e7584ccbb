import { describe, expect, test } from 'vitest'
import type { Json } from '../../../runtime/json.ts'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import { says, untilThread, useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/people/langgraph.json', import.meta.url).pathname

const chatUi = {
  approve: { decisions: [{ type: 'approve' }] },
  edit: { decisions: [{ type: 'edit', edited_action: { name: 'pay', args: { amount: 3 } } }] },
  reject: { decisions: [{ type: 'reject', message: 'Too much.' }] },
  respond: { decisions: [{ type: 'respond', message: 'Ask later.' }] },
}
const camel = {
  ...chatUi,
  edit: { decisions: [{ type: 'edit', editedAction: { name: 'pay', args: { amount: 3 } } }] },
}
const agentInbox = {
  approve: [{ type: 'accept', args: null }],
  edit: [{ type: 'edit', args: { action: 'pay', args: { amount: 3 } } }],
  reject: [{ type: 'ignore', args: null }],
  respond: [{ type: 'response', args: 'Ask later.' }],
}
type Word = keyof typeof chatUi
const CLIENTS = { 'LangChain in JavaScript': camel, 'Agent Chat UI': chatUi, 'Agent Inbox': agentInbox }
const WORDS: Word[] = ['approve', 'edit', 'reject', 'respond']
const EVERY = Object.entries(CLIENTS).flatMap(([client, answers]) =>
  WORDS.map((word) => [client, word, answers[word] as Json] as const),
)

interface Held {
  threadId: string
  value: Record<string, unknown>
}

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })

  async function ask(graph: string, input: object): Promise<Held> {
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, graph, { input: input as Record<string, unknown> })
    await untilThread(stage.client, threadId, 'interrupted')
    const { interrupts } = await stage.client.threads.get(threadId)
    const [only] = Object.values(interrupts).flat()
    return { threadId, value: only?.value as Record<string, unknown> }
  }
  const answer = (threadId: string, graph: string, resume: unknown) =>
    stage.client.runs.wait(threadId, graph, { command: { resume } })

  describe("LangChain's middleware", () => {
    test('is shown in the names of both languages, wherever an interrupt is told', async () => {
      const { threadId, value } = await ask('middleware', says('Pay.'))
      const shown = {
        actionRequests: [{ name: 'pay', args: { amount: 10 } }],
        action_requests: [{ name: 'pay', args: { amount: 10 } }],
        review_configs: [{ action_name: 'pay', allowed_decisions: ['approve', 'edit', 'reject'] }],
        reviewConfigs: [{ actionName: 'pay', allowedDecisions: ['approve', 'edit', 'reject'] }],
      }
      expect(value).toMatchObject(shown)
      const state = await stage.client.threads.getState(threadId)
      expect(state.tasks.flatMap(({ interrupts }) => interrupts)).toMatchObject([{ value: shown }])
      const [run] = await stage.client.runs.list(threadId)
      const events = await stage.http('GET', `/threads/${threadId}/runs/${run?.run_id}/stream`)
      expect(events.text).toContain('"action_requests"')
    })

    test.each(['tasks', 'debug', 'updates', 'values'] as const)(
      'is so shown in the mode %s',
      async (mode) => {
        const asking: string[] = []
        const run = stage.client.runs.stream(await stage.thread(), 'middleware', {
          input: says('Pay.'),
          streamMode: mode,
        })
        for await (const { data } of run) {
          const text = JSON.stringify(data)
          if (text.includes('"actionRequests"')) asking.push(text)
        }
        expect(asking.length).toBeGreaterThan(0)
        for (const text of asking) expect(text).toContain('"action_requests"')
      },
    )

    const said: Record<Word, RegExp> = {
      approve: /paid 10/,
      edit: /paid 3/,
      reject: /The tool said:/,
      respond: /Ask later\./,
    }
    test.each(EVERY)('understands %s: %s', async (_client, word, resume) => {
      const { threadId } = await ask('middleware', says('Pay.'))
      const values = (await answer(threadId, 'middleware', resume)) as { messages: { content: string }[] }
      const last = values.messages.at(-1)?.content ?? ''
      expect(last).toMatch(said[word])
      if (word !== 'approve' && word !== 'edit') expect(last).not.toContain('paid')
      expect((await stage.client.threads.get(threadId)).status).toBe('idle')
    })
  })

  describe("an agent inbox's interrupt", () => {
    test.each(EVERY)('gets the list that it reads from %s: %s', async (_client, word, resume) => {
      const { threadId, value } = await ask('inbox', { answer: null })
      expect(value).toMatchObject([{ action_request: { action: 'pay' } }])
      const values = (await answer(threadId, 'inbox', resume)) as { answer: unknown }
      const expected =
        _client !== 'Agent Inbox' && word === 'reject'
          ? [{ type: 'response', args: 'Too much.' }]
          : agentInbox[word]
      expect(values.answer).toEqual(expected)
    })
  })

  describe('an interrupt of nobody’s shape', () => {
    test.each([
      ['text', 'blue'],
      ['a decision', chatUi.approve],
      ['a list', agentInbox.respond],
      ['null', null],
    ])('gets %s as it was sent, and is shown as it is', async (_name, resume) => {
      const { threadId, value } = await ask('custom', { answer: 'none' })
      expect(value).toEqual({ question: 'Which colour?', action_requests: 'none' })
      const { interrupts } = await stage.client.threads.get(threadId)
      const id = Object.values(interrupts).flat()[0]?.id ?? ''
      const values = (await answer(threadId, 'custom', { [id]: resume })) as { answer: unknown }
      expect(values.answer).toEqual(resume)
    })
  })
})

onEachDatabase((database) => {
  const stage = useStage(database)

  describe('a hold of ours', () => {
    test.each(EVERY)('is decided by %s: %s', async (_client, word, resume) => {
      const mail = { name: 'send_email', args: { to: 'ops@example.com', subject: 's', body: 'b' } }
      const edited = { ...mail.args, subject: 'edited' }
      const given =
        word === 'edit'
          ? (JSON.parse(
              JSON.stringify(resume)
                .replace('{"amount":3}', JSON.stringify(edited))
                .replaceAll('"pay"', '"send_email"'),
            ) as Json)
          : resume
      stage.play({ toolCalls: [mail] }, { content: 'Done.' })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
      await stage.client.runs.wait(threadId, 'react', { command: { resume: given } })
      const [hold] = await stage.holds(threadId)
      const after: Record<Word, string> = {
        approve: 'approved',
        edit: 'edited',
        reject: 'rejected',
        respond: 'responded',
      }
      expect(hold?.status).toBe(after[word])
      expect(hold?.decisions).toHaveLength(1)
      if (word === 'edit') expect(hold?.decisions[0]).toMatchObject({ args: edited })
    })
  })
})

describe('with HOLDPOINT_INTEROP=0', () => {
  onEmbedded((database) => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_INTEROP: '0' })

    test('interrupts and answers pass as they are', async () => {
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'middleware', { input: says('Pay.') })
      const { interrupts } = await stage.client.threads.get(threadId)
      expect(Object.values(interrupts).flat()[0]?.value).not.toHaveProperty('action_requests')
      await stage.client.runs.wait(threadId, 'middleware', {
        command: { resume: agentInbox.approve },
        raiseError: false,
      })
      expect((await stage.client.threads.get(threadId)).status).toBe('error')
    })
  })
})
