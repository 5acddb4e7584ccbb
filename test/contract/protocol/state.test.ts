import { describe, expect, test } from 'vitest'
import { onEachDatabase } from '../../support/each-database.ts'
import { says, mailTo, untilThread, useStage } from '../../support/stage.ts'

const PROJECT = new URL('../../support/states/langgraph.json', import.meta.url).pathname

interface Trail {
  trail: string[]
}

onEachDatabase((database) => {
  describe('states changed by hand', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
    const trailOf = async (threadId: string) =>
      ((await stage.client.threads.getState<Trail>(threadId)).values.trail ?? []).join(', ')
    const asked = async (graph: string) => {
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, graph, { input: { trail: [] } })
      expect((await stage.client.threads.get(threadId)).status).toBe('interrupted')
      return threadId
    }

    test('an update is a new checkpoint as if the node had written it, and the run goes on behind that node', async () => {
      const threadId = await asked('steps')
      const { configurable: checkpoint } = await stage.client.threads.updateState(threadId, {
        values: { trail: ['by hand'] },
        asNode: 'asks',
      })
      expect(checkpoint).toMatchObject({ thread_id: threadId, checkpoint_ns: '' })
      const state = await stage.client.threads.getState<Trail>(threadId)
      expect(state.checkpoint.checkpoint_id).toBe(checkpoint?.checkpoint_id)
      expect(state.metadata).toMatchObject({ source: 'update' })
      expect(state.next).toEqual(['last'])
      const thread = await stage.client.threads.get(threadId)
      expect(thread.interrupts).toEqual({})
      expect(thread.values).toEqual({ trail: ['first', 'by hand'] })
      await stage.client.runs.wait(threadId, 'steps', { input: null })
      expect(await trailOf(threadId)).toBe('first, by hand, last')
    })

    test('__end__ leaves nothing to do and the thread idle, as an inbox that ignores a question wants it', async () => {
      const threadId = await asked('steps')
      await stage.client.threads.updateState(threadId, { values: null, asNode: '__end__' })
      const thread = await stage.client.threads.get(threadId)
      expect([thread.status, thread.interrupts]).toEqual(['idle', {}])
      expect((await stage.client.threads.getState(threadId)).next).toEqual([])
      await expect(
        stage.client.runs.wait(threadId, 'steps', { command: { resume: 'late' } }),
      ).rejects.toThrow(/422/)
    })

    test('__copy__ stands before the same step again, on a branch of its own', async () => {
      const threadId = await asked('steps')
      const history = await stage.client.threads.getHistory<Trail>(threadId)
      const beforeFirst = history.find(({ next }) => next[0] === 'first')
      const { configurable: checkpoint } = await stage.client.threads.updateState(threadId, {
        values: null,
        asNode: '__copy__',
        checkpointId: beforeFirst?.checkpoint.checkpoint_id ?? '',
      })
      const state = await stage.client.threads.getState<Trail>(threadId)
      expect(state.checkpoint.checkpoint_id).toBe(checkpoint?.checkpoint_id)
      expect(state.next).toEqual(['first'])
      expect(state.metadata).toMatchObject({ source: 'fork' })
      expect(state.parent_checkpoint?.checkpoint_id).toBe(beforeFirst?.parent_checkpoint?.checkpoint_id)
      await stage.client.runs.wait(threadId, 'steps', { input: null })
      expect((await stage.client.threads.get(threadId)).status).toBe('interrupted')
      expect(await trailOf(threadId)).toBe('first')
    })

    test('an update at a checkpoint forks from it and leaves the rest as it was', async () => {
      const threadId = await asked('steps')
      await stage.client.runs.wait(threadId, 'steps', { command: { resume: 'yes' } })
      const history = await stage.client.threads.getHistory<Trail>(threadId)
      const afterFirst = history.find(({ next }) => next[0] === 'asks')
      await stage.client.threads.updateState(threadId, {
        values: { trail: ['forked'] },
        asNode: 'asks',
        checkpoint: afterFirst?.checkpoint,
      })
      expect(await trailOf(threadId)).toBe('first, forked')
      const later = await stage.client.threads.getHistory<Trail>(threadId)
      expect(later).toHaveLength(history.length + 1)
      expect(later.slice(1)).toEqual(history)
    })

    test('what the finished half of a step wrote is kept by an update of the other half', async () => {
      const threadId = await asked('halves')
      await stage.client.threads.updateState(threadId, { values: { trail: ['by hand'] }, asNode: 'asks' })
      await stage.client.runs.wait(threadId, 'halves', { input: null })
      expect((await trailOf(threadId)).split(', ').toSorted()).toEqual(['by hand', 'done', 'last'])
    })

    test("a subgraph's state is changed by its namespace, and goes on from there", async () => {
      const threadId = await asked('nested')
      const before = await stage.client.threads.getState<Trail>(threadId, undefined, { subgraphs: true })
      const namespace = before.tasks[0]?.state?.checkpoint.checkpoint_ns ?? ''
      expect(namespace).toMatch(/^works:/)
      await stage.client.threads.updateState(threadId, {
        values: { trail: ['by hand'] },
        asNode: 'asks',
        checkpoint: { checkpoint_ns: namespace },
      } as never)
      const after = await stage.client.threads.getState<Trail>(threadId, undefined, { subgraphs: true })
      expect(after.tasks[0]?.state?.values).toEqual({ trail: ['before', 'by hand'] })
      const thread = await stage.client.threads.get(threadId)
      expect([thread.status, thread.interrupts]).toEqual(['interrupted', {}])
      await stage.client.runs.wait(threadId, 'nested', { input: null })
      expect(await trailOf(threadId)).toBe('before, by hand, last')
    })

    test('while a run has not ended the state stays as it is: 409, and after its cancel it changes', async () => {
      const threadId = await asked('steps')
      const run = await stage.client.runs.create(threadId, 'steps', {
        input: { trail: [] },
        afterSeconds: 600,
      })
      const update = { values: { trail: ['x'] }, asNode: 'last' }
      const refused = await stage.http('POST', `/threads/${threadId}/state`, { values: update.values })
      expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('has not ended')])
      await stage.client.runs.cancel(threadId, run.run_id, true)
      await stage.client.threads.updateState(threadId, update)
      expect(await trailOf(threadId)).toBe('first, x')
    })

    test('two updates at once are both there, one after the other', async () => {
      const threadId = await asked('steps')
      await Promise.all(
        ['a', 'b', 'c'].map((mark) =>
          stage.client.threads.updateState(threadId, { values: { trail: [mark] }, asNode: 'last' }),
        ),
      )
      expect((await trailOf(threadId)).split(', ').toSorted()).toEqual(['a', 'b', 'c', 'first'])
    })

    test('an update that the graph does not take is told, and changes nothing', async () => {
      const threadId = await asked('steps')
      const before = await stage.client.threads.getHistory(threadId)
      for (const body of [
        { values: { trail: ['x'] }, as_node: 'nowhere' },
        { values: { trail: 7 }, as_node: 'asks' },
      ]) {
        const answer = await stage.http('POST', `/threads/${threadId}/state`, body)
        expect(answer.status, JSON.stringify(body)).toBe(422)
        expect(answer.text).toContain('does not take this update')
      }
      expect(await stage.client.threads.getHistory(threadId)).toEqual(before)
      expect((await stage.client.threads.get(threadId)).status).toBe('interrupted')
      const none = await stage.http('POST', `/threads/${await stage.thread()}/state`, { values: {} })
      expect([none.status, none.text]).toEqual([400, expect.stringContaining('has no graph ID')])
      const missing = await stage.http('POST', '/threads/00000000-0000-4000-8000-000000000000/state', {})
      expect(missing.status).toBe(404)
    })

    test('patchState describes the newest checkpoint, which history finds by it; what is ours stays', async () => {
      const threadId = await asked('steps')
      const runs = await stage.client.runs.list(threadId)
      await stage.client.threads.patchState(threadId, { reviewed: 'yes', run_id: 'forged' })
      const found = await stage.client.threads.getHistory(threadId, { metadata: { reviewed: 'yes' } })
      expect(found).toHaveLength(1)
      expect(found[0]?.metadata).toMatchObject({ run_id: runs[0]?.run_id })
      const empty = await stage.http('PATCH', `/threads/${await stage.thread()}/state`, { metadata: {} })
      expect(empty.status).toBe(404)
    })

    test('a thread is created with its first states, or not at all', async () => {
      const supersteps = [
        { updates: [{ values: { trail: ['one'] }, asNode: '__start__' }] },
        { updates: [{ values: { trail: ['two'] }, asNode: 'first' }] },
      ]
      const thread = await stage.client.threads.create({ graphId: 'steps', supersteps })
      expect(thread.values).toEqual({ trail: ['one', 'two'] })
      expect(thread.status).toBe('interrupted')
      expect(await stage.client.threads.getHistory(thread.thread_id)).toHaveLength(2)
      await stage.client.runs.wait(thread.thread_id, 'steps', { input: null })
      expect((await stage.client.threads.get(thread.thread_id)).interrupts).not.toEqual({})

      const again = { threadId: thread.thread_id, graphId: 'steps', supersteps }
      await expect(stage.client.threads.create(again)).rejects.toThrow(/409/)
      const kept = await stage.client.threads.create({ ...again, ifExists: 'do_nothing' })
      expect(kept.thread_id).toBe(thread.thread_id)

      const threadId = '0190aaaa-0000-7000-8000-000000000001'
      const bad = [{ updates: [{ values: { trail: ['x'] }, asNode: 'nowhere' }] }]
      await expect(
        stage.client.threads.create({ threadId, graphId: 'steps', supersteps: bad }),
      ).rejects.toThrow(/422/)
      await expect(stage.client.threads.get(threadId)).rejects.toThrow(/404/)
    })

    test("a graph that its configuration makes is read and changed with the thread's own", async () => {
      const threadId = await stage.thread()
      const config = { configurable: { tenant: 'acme' } }
      await stage.client.runs.wait(threadId, 'configured', { input: { trail: [] }, config })
      await stage.client.threads.updateState(threadId, { values: { trail: ['by hand'] }, asNode: 'for-acme' })
      await stage.client.runs.wait(threadId, 'configured', { input: { trail: [] } })
      expect(await trailOf(threadId)).toBe('for-acme, by hand, for-acme')
      const { config: kept } = await stage.client.threads.get(threadId)
      expect(kept).toEqual({ configurable: { tenant: 'acme' } })
    })
  })

  describe('states with approvals', () => {
    const stage = useStage(database)

    test('an update over a held call cancels its approval, and the call has no way to run', async () => {
      stage.play({ toolCalls: [mailTo('Updated over')] })
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'react', { input: says('Write.') })
      const [hold] = await stage.holds(threadId, 'pending')
      await stage.client.threads.updateState(threadId, { values: null, asNode: '__end__' })
      await untilThread(stage.client, threadId, 'idle')
      const [after] = await stage.holds(threadId)
      expect(after?.status).toBe('cancelled')
      const late = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
      expect(late.status).toBe(409)
      expect(await stage.mails()).toEqual([])
    })
  })
})
