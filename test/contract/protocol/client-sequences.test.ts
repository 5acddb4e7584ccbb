import type { Checkpoint, Interrupt, StreamMode } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../runtime/json.ts'
import { onEmbedded } from '../../support/each-database.ts'
import { mailTo, says, type Stage, untilThread, useStage } from '../../support/stage.ts'

const PEOPLE = new URL('../../support/people/langgraph.json', import.meta.url).pathname

/** What applications send, call after call, from their first request to the end of the answered run. */

const WORDS = ['approve', 'edit', 'reject', 'respond'] as const
type Word = (typeof WORDS)[number]

/** A graph that asks a person whether to do one thing. */
interface Asking {
  graph: string
  /** The call that it asks for, and what a person makes of its arguments. */
  call: { name: string; args: Record<string, Json> }
  edited: Record<string, Json>
  /** In which shape it asks. */
  shape: 'decisions' | 'inbox'
  prepare(stage: Stage, answered: boolean): void
  /** What came of the answer: `done` with which arguments, `refused`, or the words that were given instead. */
  outcome(stage: Stage, threadId: string): Promise<string>
}

const mail = mailTo('as asked')
const hold: Asking = {
  graph: 'react',
  call: mail,
  edited: { ...mail.args, subject: 'as edited' },
  shape: 'decisions',
  prepare(stage, answered) {
    stage.play({ toolCalls: [mail] }, ...(answered ? [{ content: 'That was it.' }] : []))
  },
  async outcome(stage, threadId) {
    const [only] = await stage.holds(threadId)
    const [decision] = only?.decisions ?? []
    const [effect] = (await stage.http('GET', `/threads/${threadId}/effects`)).json<{ status: string }[]>()
    if (effect?.status === 'done') return `done: ${JSON.stringify(decision?.args ?? only?.args)}`
    return decision?.message ?? 'refused'
  },
}
const pay = { name: 'pay', args: { amount: 10 } }
const middleware: Asking = {
  graph: 'middleware',
  call: pay,
  edited: { amount: 3 },
  shape: 'decisions',
  prepare: () => {},
  async outcome(stage, threadId) {
    const { values } = await stage.client.threads.getState<{ messages: { content: string }[] }>(threadId)
    const said = values.messages.at(-1)?.content ?? ''
    const [, amount] = /paid (\d+)/.exec(said) ?? []
    if (amount !== undefined) return `done: {"amount":${amount}}`
    return said.includes('Ask later.') ? 'Ask later.' : 'refused'
  },
}
const inbox: Asking = {
  graph: 'inbox',
  call: pay,
  edited: { amount: 3 },
  shape: 'inbox',
  prepare: () => {},
  async outcome(stage, threadId) {
    const { values } = await stage.client.threads.getState<{ answer: { type: string; args: unknown }[] }>(
      threadId,
    )
    const { type, args } = values.answer[0] ?? {}
    if (type === 'accept') return 'done: {"amount":10}'
    if (type === 'edit') return `done: ${JSON.stringify((args as { args: Json }).args)}`
    return type === 'response' ? String(args) : 'refused'
  },
}

function expected({ call, edited }: Asking, word: Word): string {
  if (word === 'approve') return `done: ${JSON.stringify(call.args)}`
  if (word === 'edit') return `done: ${JSON.stringify(edited)}`
  return word === 'reject' ? 'refused' : 'Ask later.'
}

/** The list that Agent Inbox, and Agent Chat UI before version 1 of LangChain, answer with. */
function inboxList({ call, edited }: Asking, word: Word): Json {
  switch (word) {
    case 'approve':
      return [{ type: 'accept', args: { action: call.name, args: call.args } }]
    case 'edit':
      return [{ type: 'edit', args: { action: call.name, args: edited } }]
    case 'reject':
      return [{ type: 'ignore', args: null }]
    case 'respond':
      return [{ type: 'response', args: 'Ask later.' }]
  }
}

/** The same in the envelope that Agent Inbox makes where `action_requests` are asked. */
function inboxDecisions(asking: Asking, word: Word): Json {
  const types: Record<string, string> = { accept: 'approve', response: 'reject' }
  const list = inboxList(asking, word) as { type: string; args: Json }[]
  return { decisions: list.map(({ type, args }) => ({ type: types[type] ?? type, args })) }
}

/** What Agent Chat UI answers a request of LangChain's middleware with. */
function chatDecisions({ call, edited }: Asking, word: Word): Json {
  switch (word) {
    case 'edit':
      return { decisions: [{ type: 'edit', edited_action: { name: call.name, args: edited } }] }
    case 'respond':
      return { decisions: [{ type: 'reject', message: 'Ask later.' }] }
    case 'approve':
    case 'reject':
      return { decisions: [{ type: word }] }
  }
}

/** Both applications look for these before they show buttons instead of JSON. */
function expectAsked({ call, shape }: Asking, value: unknown): void {
  expect(value).toMatchObject(
    shape === 'inbox'
      ? [{ action_request: { action: call.name, args: call.args }, config: { allow_accept: true } }]
      : {
          action_requests: [{ name: call.name, args: call.args }],
          review_configs: [
            {
              action_name: call.name,
              allowed_decisions: expect.arrayContaining(['approve', 'edit', 'reject']) as unknown,
            },
          ],
        },
  )
}

function applications(stage: Stage, asked: [string, Asking][]): void {
  describe.each(asked)('Agent Chat UI, by %s', (_name, asking) => {
    const { graph } = asking
    const modes = {
      streamMode: ['values', 'messages-tuple', 'custom'] satisfies StreamMode[],
      streamSubgraphs: true,
    }
    const options = { ...modes, streamResumable: true, onDisconnect: 'continue' as const }

    async function ask(answered: boolean) {
      const { client } = stage
      expect((await stage.http('GET', '/info')).status).toBe(200)
      await client.threads.search({ metadata: { graph_id: graph }, limit: 100 })
      asking.prepare(stage, answered)
      const { thread_id: threadId } = await client.threads.create({ metadata: {} })
      let interrupts: Interrupt[] = []
      for await (const { event, data } of client.runs.stream(threadId, graph, {
        ...options,
        input: says('Go.'),
      }))
        if (event === 'values') interrupts = (data as { __interrupt__?: Interrupt[] }).__interrupt__ ?? []
      expectAsked(asking, interrupts[0]?.value)
      const [head] = await client.threads.getHistory(threadId, { limit: 10 })
      expect(head?.tasks.at(-1)?.interrupts).toEqual(interrupts)
      const { thread_id: _, ...checkpoint }: Partial<Checkpoint> = head?.checkpoint ?? {}
      return { threadId, checkpoint: checkpoint as Omit<Checkpoint, 'thread_id'> }
    }

    async function after(threadId: string): Promise<void> {
      const [head] = await stage.client.threads.getHistory(threadId, { limit: 10 })
      expect([head?.next, head?.tasks]).toEqual([[], []])
      const found = await stage.client.threads.search({ metadata: { graph_id: graph }, limit: 100 })
      expect(found.find(({ thread_id }) => thread_id === threadId)).toMatchObject({
        status: 'idle',
        interrupts: {},
      })
    }

    test.each(WORDS)('%s', async (word) => {
      const { threadId, checkpoint } = await ask(true)
      const resume = asking.shape === 'inbox' ? inboxList(asking, word) : chatDecisions(asking, word)
      const answered = { ...options, checkpoint, input: {}, command: { resume } }
      const events: string[] = []
      for await (const { event } of stage.client.runs.stream(threadId, graph, answered)) events.push(event)
      expect(events).not.toContain('error')
      expect(events.at(-1)).toBe('values')
      expect(await asking.outcome(stage, threadId)).toBe(expected(asking, word))
      await after(threadId)
    })

    // LangGraph has no way to the end by goto: its run comes back to the question.
    test('marked as resolved, which asks again', async () => {
      const { threadId, checkpoint } = await ask(true)
      const resolved = { ...options, checkpoint, input: {}, command: { goto: '__end__' } }
      const events: string[] = []
      for await (const { event } of stage.client.runs.stream(threadId, graph, resolved)) events.push(event)
      expect(events).not.toContain('error')
      const { status, interrupts } = await stage.client.threads.get(threadId)
      expect(status).toBe('interrupted')
      expectAsked(asking, Object.values(interrupts)[0]?.[0]?.value)
      await stage.client.runs.wait(threadId, graph, { command: { resume: inboxList(asking, 'approve') } })
      expect(await asking.outcome(stage, threadId)).toBe(expected(asking, 'approve'))
      await after(threadId)
    })
  })

  describe.each(asked)('Agent Inbox, by %s', (_name, asking) => {
    const { graph } = asking
    const search = () =>
      stage.client.threads.search({
        offset: 0,
        limit: 100,
        status: 'interrupted',
        metadata: { graph_id: graph },
      })

    async function found(answered: boolean): Promise<string> {
      expect((await stage.http('GET', '/info')).json()).toMatchObject({ flags: { assistants: true } })
      asking.prepare(stage, answered)
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, graph, { input: says('Go.') })
      const thread = (await search()).find(({ thread_id }) => thread_id === threadId)
      const interrupts = Object.values(thread?.interrupts ?? {})
      expectAsked(asking, interrupts[0]?.[0]?.value)
      expect((await stage.client.threads.get(threadId)).interrupts).toEqual(thread?.interrupts)
      return threadId
    }

    async function gone(threadId: string): Promise<void> {
      await untilThread(stage.client, threadId, 'idle')
      expect((await search()).map(({ thread_id }) => thread_id)).not.toContain(threadId)
    }

    test.each(WORDS)('%s', async (word) => {
      const threadId = await found(true)
      const resume = asking.shape === 'inbox' ? inboxList(asking, word) : inboxDecisions(asking, word)
      if (word === 'reject') {
        await stage.client.runs.create(threadId, graph, { command: { resume } })
      } else {
        const nodes = new Set<unknown>()
        const run = stage.client.runs.stream(threadId, graph, { command: { resume }, streamMode: 'events' })
        for await (const { event, data } of run) {
          expect(event).not.toBe('error')
          const told = data as { event?: string; metadata?: { langgraph_node?: string } }
          if (told.event === 'on_chain_start') nodes.add(told.metadata?.langgraph_node)
        }
        expect(nodes.size).toBeGreaterThan(1)
      }
      await gone(threadId)
      expect(await asking.outcome(stage, threadId)).toBe(expected(asking, word))
    })

    test('the list that versions without the middleware answer everything with', async () => {
      const threadId = await found(true)
      await stage.client.runs.create(threadId, graph, { command: { resume: inboxList(asking, 'edit') } })
      await gone(threadId)
      expect(await asking.outcome(stage, threadId)).toBe(expected(asking, 'edit'))
    })

    test('resolved without an answer', async () => {
      const threadId = await found(false)
      await stage.client.threads.updateState(threadId, { values: null, asNode: '__end__' })
      await gone(threadId)
    })
  })
}

onEmbedded((database) => {
  applications(useStage(database), [['a hold of ours', hold]])
})

onEmbedded((database) => {
  applications(useStage(database, { HOLDPOINT_CONFIG: PEOPLE }), [
    ["LangChain's middleware", middleware],
    ["an interrupt in Agent Inbox's shape", inbox],
  ])
})
