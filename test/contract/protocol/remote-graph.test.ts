import {
  Annotation,
  Command,
  END,
  GraphInterrupt,
  interrupt,
  isGraphInterrupt,
  type LangGraphRunnableConfig,
  MemorySaver,
  START,
  StateGraph,
} from '@langchain/langgraph'
import { RemoteGraph } from '@langchain/langgraph/remote'
import { describe, expect, test } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { mailTo, moment, says, useStage } from '../../support/stage.ts'

const STATES = new URL('../../support/states/langgraph.json', import.meta.url).pathname
const MODES = new URL('../../support/modes/langgraph.json', import.meta.url).pathname

interface Trail {
  trail: string[]
}

/** LangGraph's `RemoteGraph`: a graph that Holdpoint serves, used like one that is here. */
onEachDatabase((database) => {
  describe('a remote graph', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: STATES })
    const remote = (graphId: string) => new RemoteGraph({ graphId, client: stage.client })
    const onThread = (thread_id = newId()) => ({ configurable: { thread_id } })

    test('is invoked without a thread, with the config that it is given', async () => {
      const options = { configurable: { tenant: 'acme' } }
      expect(await remote('configured').invoke({ trail: [] }, options)).toEqual({ trail: ['for-acme'] })
    })

    test('keeps a thread that the first call makes, and goes on from it', async () => {
      const config = onThread()
      await remote('configured').invoke({ trail: ['1'] }, config)
      expect(await remote('configured').invoke({ trail: ['2'] }, config)).toEqual({
        trail: ['1', 'for-nobody', '2', 'for-nobody'],
      })
    })

    test('raises the interrupt, is asked for its state, and is resumed', async () => {
      const config = onThread()
      const graph = remote('steps')
      const raised = await graph.invoke({ trail: [] }, config).catch((error: unknown) => error)
      expect(raised).toBeInstanceOf(GraphInterrupt)
      expect((raised as GraphInterrupt).interrupts).toMatchObject([{ value: 'Well?' }])
      const state = await graph.getState(config)
      expect(state.next).toEqual(['asks'])
      expect(state.tasks.flatMap(({ interrupts }) => interrupts)).toMatchObject([{ value: 'Well?' }])
      expect(await graph.invoke(new Command({ resume: 'Yes' }), config)).toEqual({
        trail: ['first', 'answer: Yes', 'last'],
      })
      expect((await graph.getState(config)).next).toEqual([])
    })

    test('is paused inside a subgraph, whose state can be read, and resumed there', async () => {
      const config = onThread()
      const graph = remote('nested')
      await expect(graph.invoke({ trail: [] }, config)).rejects.toBeInstanceOf(GraphInterrupt)
      const { tasks } = await graph.getState(config, { subgraphs: true })
      expect(tasks).toMatchObject([
        { name: 'works', state: { values: { trail: ['before'] }, next: ['asks'] } },
      ])
      expect(await graph.invoke(new Command({ resume: 'Yes' }), config)).toEqual({
        trail: ['before', 'answer: Yes', 'last'],
      })
    })

    test('tells its history, by pages and by metadata, and is changed at one of its checkpoints', async () => {
      const config = onThread()
      const graph = remote('steps')
      await graph.invoke({ trail: [] }, config).catch(() => {})
      const states = await Array.fromAsync(graph.getStateHistory(config))
      expect(states.map(({ next }) => next)).toEqual([['asks'], ['first'], ['__start__']])
      const rest = await Array.fromAsync(
        graph.getStateHistory(config, { before: states[0]?.config ?? {}, limit: 1 }),
      )
      expect(rest).toEqual([states[1]])
      const inputs = await Array.fromAsync(graph.getStateHistory(config, { filter: { source: 'input' } }))
      expect(inputs).toEqual([states[2]])

      const before = states[1]?.config ?? {}
      const forked = await graph.updateState(before, { trail: ['by hand'] }, 'first')
      const state = await graph.getState(forked)
      expect(state.values).toEqual({ trail: ['by hand'] })
      expect(state.next).toEqual(['asks'])
      expect(state.parentConfig?.configurable?.['checkpoint_id']).toBe(before.configurable?.['checkpoint_id'])
      await expect(graph.invoke(null, config)).rejects.toBeInstanceOf(GraphInterrupt)
      expect(await graph.invoke(new Command({ resume: 'Yes' }), config)).toEqual({
        trail: ['by hand', 'answer: Yes', 'last'],
      })
    })

    test('is drawn, with what is inside its subgraphs', async () => {
      const flat = await remote('nested').getGraphAsync()
      expect(Object.keys(flat.nodes)).toEqual(['__start__', 'works', 'last', '__end__'])
      const deep = await remote('nested').getGraphAsync({ xray: true })
      expect(Object.keys(deep.nodes)).toEqual(expect.arrayContaining(['works:before', 'works:asks', 'last']))
      expect(deep.drawMermaid()).toContain('asks')
      const subgraphs = await Array.fromAsync(remote('nested').getSubgraphsAsync())
      expect(subgraphs.map(([name]) => name)).toEqual(['works'])
    })

    test('is a node of another graph, in whose stream its own steps are', async () => {
      const outer = new StateGraph(Annotation.Root({ trail: Annotation<string[]> }))
        .addNode('remote', remote('configured'))
        .addNode('after', ({ trail }: Trail) => ({ trail: [...trail, 'after'] }))
        .addEdge(START, 'remote')
        .addEdge('remote', 'after')
        .addEdge('after', END)
        .compile({ checkpointer: new MemorySaver() })
      const chunks = await Array.fromAsync(
        await outer.stream({ trail: ['in'] }, { ...onThread(), streamMode: 'updates', subgraphs: true }),
      )
      expect(chunks).toEqual([
        [[expect.stringMatching(/^remote:/)], { 'for-nobody': { trail: ['for-nobody'] } }],
        [[], { remote: { trail: ['in', 'for-nobody'] } }],
        [[], { after: { trail: ['in', 'for-nobody', 'after'] } }],
      ])
    })

    test('pauses the graph around it', async () => {
      const outer = new StateGraph(Annotation.Root({ trail: Annotation<string[]> }))
        .addNode('remote', remote('steps'))
        .addEdge(START, 'remote')
        .addEdge('remote', END)
        .compile({ checkpointer: new MemorySaver() })
      const paused = await outer.invoke({ trail: ['in'] }, onThread())
      expect(paused).toMatchObject({ __interrupt__: [{ value: 'Well?' }] })
    })

    // A resume of the graph around it does not reach the remote thread: RemoteGraph sends its input again.
    test('is answered from the graph around it by a node that sends the answer on', async () => {
      const graph = remote('steps')
      const thread = ({ configurable }: LangGraphRunnableConfig) => ({
        configurable: { thread_id: configurable?.['thread_id'] as string },
      })
      const outer = new StateGraph(
        Annotation.Root({ trail: Annotation<string[]>, asked: Annotation<unknown> }),
      )
        .addNode('starts', async (state, config) => {
          try {
            return (await graph.invoke({ trail: state.trail }, thread(config))) as Trail
          } catch (error) {
            if (!isGraphInterrupt(error)) throw error
            return { asked: error.interrupts[0]?.value as unknown }
          }
        })
        .addNode('answers', async ({ asked }, config) => {
          const resume: unknown = interrupt(asked)
          return (await graph.invoke(new Command({ resume }), thread(config))) as Trail
        })
        .addEdge(START, 'starts')
        .addConditionalEdges('starts', ({ asked }) => (asked === undefined ? END : 'answers'), [
          'answers',
          END,
        ])
        .addEdge('answers', END)
        .compile({ checkpointer: new MemorySaver() })
      const config = onThread()
      expect(await outer.invoke({ trail: ['in'] }, config)).toMatchObject({
        __interrupt__: [{ value: 'Well?' }],
      })
      expect(await outer.invoke(new Command({ resume: 'Yes' }), config)).toMatchObject({
        trail: ['in', 'first', 'answer: Yes', 'last'],
      })
    })
  })

  describe('a remote graph with subgraphs', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: MODES })
    const remote = () => new RemoteGraph({ graphId: 'modes', client: stage.client })

    test('streams what they do, under their names', async () => {
      const chunks = await Array.fromAsync(
        await remote().stream(says('Go.'), { streamMode: ['updates', 'custom'], subgraphs: true }),
      )
      expect(chunks).toMatchObject([
        [[], 'custom', { asked: 21 }],
        [[], 'updates', { asks: { messages: [{ id: 'asking' }] } }],
        [[expect.stringMatching(/^works:/)], 'updates', { calls: { messages: [{ content: '42' }] } }],
        [[], 'updates', { works: {} }],
        [[], 'updates', { says: { messages: [{ content: 'It is 42.' }] } }],
      ])
    })
  })

  describe('an agent of ours, remote', () => {
    const stage = useStage(database)

    test('is held, and what a person releases by a resume happens once', async () => {
      const config = { configurable: { thread_id: newId() } }
      const graph = new RemoteGraph({ graphId: 'react', client: stage.client })
      stage.play({ toolCalls: [mailTo('by RemoteGraph')] }, { content: 'Sent.' })
      const raised = await graph.invoke(says('Mail them.'), config).catch((error: unknown) => error)
      expect((raised as GraphInterrupt).interrupts).toMatchObject([
        { value: { type: 'holdpoint.hold', action_requests: [{ name: 'send_email' }] } },
      ])
      const resume = { decisions: [{ type: 'approve' }] }
      const values = (await graph.invoke(new Command({ resume }), config)) as {
        messages: { content: string }[]
      }
      expect(values.messages.at(-1)?.content).toBe('Sent.')
      const mails = (await stage.mails()).filter((mail) => mail.includes('by RemoteGraph'))
      expect(mails).toHaveLength(1)
    })

    test('streams events of version 3, and ends with the values', async () => {
      const graph = new RemoteGraph({ graphId: 'react', client: stage.client })
      const read = moment()
      stage.play({ toolCalls: [{ name: 'list_files', args: {} }] }, async () => {
        await read.reached
        return { content: 'Nothing is there.' }
      })
      const run = await graph.streamEvents(says('What is there?'), { version: 'v3' })
      const methods = new Set<string>()
      for await (const { method } of run) {
        methods.add(method)
        if (method === 'tools') read.reach()
      }
      expect([...methods]).toEqual(
        expect.arrayContaining(['lifecycle', 'messages', 'tools', 'values', 'custom']),
      )
      const { messages } = (await run.output) as { messages: { content: unknown }[] }
      expect(JSON.stringify(messages.at(-1)?.content)).toContain('Nothing is there.')
      expect(run.interrupted).toBe(false)
    })
  })
})
