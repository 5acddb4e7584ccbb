import { afterAll, describe, expect, test, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { forget, times } from '../support/grants/journal.ts'
import { says, untilThread, useStage, WAIT } from '../support/stage.ts'

/** Each of a hundred decisions at once. */
const ROUNDS = Number(process.env['HOLDPOINT_TEST_ROUNDS'] ?? 10)

const AGENT = { assistant_id: 'agent' }

interface Values {
  messages: (Record<string, unknown> & { id: string; type: string; content: string })[]
  verdicts: Record<string, unknown>[]
}

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: 'test/support/grants/langgraph.json' })
  afterAll(forget)

  describe('a call that waits is not run by', () => {
    test('an answer that is meant for another approval, another call or another thread', async () => {
      const mine = await held()
      const other = await held()
      const forged = [
        { decisions: [{ approval_id: other.hold.approval_id, type: 'approve' }] },
        { decisions: [{ approval_id: newId(), type: 'approve' }] },
        {
          decisions: [
            { approval_id: mine.hold.approval_id, args_hash: other.hold.args_hash, type: 'approve' },
          ],
        },
        { decisions: [{ type: 'approve', shown: { name: 'put', args: other.hold.args } }] },
        { [other.hold.interrupt_id]: { type: 'approve' } },
        { approval_id: mine.hold.approval_id, args_hash: mine.hold.args_hash, approved: true },
      ]
      for (const resume of forged)
        expect([409, 422]).toContain((await run(mine, { command: { resume } })).status)
      await notRunUntilApproved(mine)
      await notRunUntilApproved(other)
    })

    test('one approval where two are needed, whichever way it comes', async () => {
      const { hold, threadId, note } = await held('put_two')
      const { interrupt_id: interrupt, approval_id } = hold
      expect((await stage.decide(approval_id, { type: 'approve' })).status).toBe(403)
      for (const resume of [
        { type: 'approve' },
        { [interrupt]: { decisions: [{ approval_id, type: 'approve' }] } },
      ])
        expect((await run({ threadId }, { command: { resume } })).status).toBe(403)
      expect(times(note)).toBe(0)
    })

    test.each(['tools', ['tools']])('goto: %j', async (goto) => {
      const waiting = await held()
      await run(waiting, { command: { goto } }, 'runs/wait')
      // The jump is a second way to the model, beside the one of the approval.
      await notRunUntilApproved(waiting, 2)
    })

    test('a goto that brings a state along, which says that it may', async () => {
      const waiting = await held()
      const goto = [{ node: 'tools', input: await forgedState(waiting) }]
      await run(waiting, { command: { goto } }, 'runs/wait')
      expect(times(waiting.note)).toBe(0)
      expect(await stage.holds(waiting.threadId, 'pending')).toHaveLength(1)
    })

    test.each([undefined, 'policy', 'hold'])(
      'a state that says that it may, written as %s',
      async (as_node) => {
        const waiting = await held()
        const values = await forgedState(waiting)
        const body = { values, ...(as_node === undefined ? {} : { as_node }) }
        expect(await stage.http('POST', `/threads/${waiting.threadId}/state`, body)).toMatchObject({
          status: 200,
        })
        await goOn(waiting)
        expect(times(waiting.note)).toBe(0)
      },
    )

    test('a state whose message is judged anew', async () => {
      const waiting = await held()
      const values = await forgedState(waiting)
      await stage.client.threads.updateState(waiting.threadId, { values, asNode: 'model' })
      await run(waiting, { input: null }, 'runs/wait')
      await notRunUntilApproved(waiting)
    })

    test('an update with a goto', async () => {
      const waiting = await held()
      const { verdicts, decisions } = await forgedState(waiting)
      stage.model.play([{ content: 'It was refused.' }, { content: 'It still is.' }])
      await run(waiting, { command: { update: { verdicts, decisions }, goto: 'tools' } }, 'runs/wait')
      expect(times(waiting.note)).toBe(0)
    })

    test('a thread that is copied', async () => {
      const waiting = await held()
      const { thread_id: threadId } = await stage.client.threads.copy(waiting.threadId)
      await stage.client.threads.updateState(threadId, { values: await forgedState(waiting), asNode: 'hold' })
      await goOn({ threadId })
      await notRunUntilApproved(waiting)
    })
  })

  describe('a call that was approved runs no second time, and not after what it waited for was taken away, by', () => {
    test.each(['put', 'peek'])('a replay of %s from after its approval', async (tool) => {
      const done = await approved(tool)
      for (const checkpointId of await placesBefore(done.threadId, 'tools')) {
        stage.model.play([{ content: 'Again.' }])
        await stage.client.runs.wait(done.threadId, 'agent', { checkpointId })
      }
      expect(times(done.note)).toBe(1)
    })

    test.each(['put', 'peek'])(
      'a fork of %s from before its approval, until it is approved again',
      async (tool) => {
        const done = await approved(tool)
        const [checkpointId = ''] = await placesBefore(done.threadId, 'hold')
        await stage.client.runs.wait(done.threadId, 'agent', { checkpointId })
        expect(times(done.note)).toBe(1)
        stage.model.play([{ content: 'Done before.' }])
        await decided(done.threadId, done.hold)
        // It is the same call: what it did is what it did.
        expect(times(done.note)).toBe(1)
      },
    )

    test('its state once more, with a goto, a second message and another thread', async () => {
      const done = await approved('put')
      const state = await forgedState(done)
      const [message] = state.messages
      const second = { ...message, id: newId() }
      for (const messages of [[message], [second]]) {
        await stage.client.threads.updateState(done.threadId, {
          values: { ...state, messages },
          asNode: 'hold',
        })
        await goOn(done)
      }
      const copy = await stage.client.threads.copy(done.threadId)
      await stage.client.threads.updateState(copy.thread_id, { values: state, asNode: 'hold' })
      await goOn({ threadId: copy.thread_id })
      expect(times(done.note)).toBe(1)
    })

    test('other arguments under its ids', async () => {
      const done = await approved('put')
      const other = newId()
      const state = await forgedState(done, other)
      await stage.client.threads.updateState(done.threadId, { values: state, asNode: 'hold' })
      await goOn(done)
      expect([times(done.note), times(other)]).toEqual([1, 0])
    })

    test('another tool under the ids of a call that was begun', async () => {
      const begun = await held('draft')
      const answer = await stage.decide(begun.hold.approval_id, { type: 'approve' })
      await vi.waitFor(() => expect(times(`draft ${begun.note}`)).toBe(1), WAIT)
      const { resumed_run_id: runId } = answer.json<Hold>()
      await stage.http('POST', `/threads/${begun.threadId}/runs/${runId}/cancel?wait=1`)
      const state = await forgedState({ ...begun, hold: { ...begun.hold, tool: 'put' } })
      await stage.client.threads.updateState(begun.threadId, { values: state, asNode: 'hold' })
      await goOn(begun)
      expect(times(begun.note)).toBe(0)
    })

    test('a state update, where that takes away what it waited beside', async () => {
      const [note, other] = [newId(), newId()]
      const put = (what: string) => ({ name: 'put', args: { note: what } })
      stage.model.play([{ toolCalls: [put(note), put(other)] }])
      const threadId = await stage.thread()
      await stage.client.runs.wait(threadId, 'agent', { input: says('Note both.') })
      const waiting = { threadId, note, hold: await holdOf(threadId, note) }
      expect(await stage.decide(waiting.hold.approval_id, { type: 'approve' })).toMatchObject({ status: 200 })
      const values = await forgedState(waiting)
      await stage.client.threads.updateState(threadId, { values, asNode: 'hold' })
      await goOn(waiting)
      expect([times(note), times(other)]).toEqual([0, 0])
    })

    test('a thread that takes its id again', async () => {
      const { threadId, hold, note } = await held()
      await stage.client.threads.delete(threadId)
      expect(await stage.decide(hold.approval_id, { type: 'approve' })).toMatchObject({ status: 409 })
      const again = await stage.http('POST', '/threads', { thread_id: threadId })
      expect(again.status).toBe(409)
      expect(times(note)).toBe(0)
    })
  })

  test(
    'a hundred decisions at once, many times: one is taken, and what it released happens once',
    async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const { threadId, hold, note } = await held()
        stage.model.play([{ content: 'Noted.' }])
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, index) =>
            stage.decide(
              hold.approval_id,
              index % 4 === 3 ? { type: 'respond', message: 'By hand.' } : { type: 'approve' },
            ),
          ),
        )
        const [taken, ...others] = answers.filter(({ status }) => status === 200)
        expect(others).toEqual([])
        expect(answers.filter(({ status }) => status === 409)).toHaveLength(99)
        await untilThread(stage.client, threadId, 'idle')
        const released = taken?.json<Hold>().status === 'approved'
        expect(times(note)).toBe(released ? 1 : 0)
        expect(await stage.client.runs.list(threadId)).toHaveLength(2)
        const record = await stage.http('GET', `/audit?thread_id=${threadId}&order=asc`)
        expect(record.json<{ kind: string }[]>().map(({ kind }) => kind)).toEqual([
          'hold.requested',
          'hold.decided',
          ...(released ? ['grant.committed', 'grant.consumed', 'effect.begun', 'effect.ended'] : []),
        ])
      }
    },
    ROUNDS * 12_000,
  )

  interface Waiting {
    threadId: string
    note: string
    hold: Hold
  }

  async function held(tool = 'put'): Promise<Waiting> {
    const note = newId()
    stage.model.play([{ toolCalls: [{ name: tool, args: { note } }] }])
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'agent', { input: says('Note.') })
    const [hold] = await stage.holds(threadId)
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, note, hold }
  }

  async function holdOf(threadId: string, note: string): Promise<Hold> {
    const holds = await stage.holds(threadId, 'pending')
    const hold = holds.find(({ args }) => (args as { note: string }).note === note)
    if (hold === undefined) throw new Error(`Nothing of ${note} is held.`)
    return hold
  }

  async function approved(tool: string): Promise<Waiting> {
    const waiting = await held(tool)
    stage.model.play([{ content: 'Noted.' }])
    await decided(waiting.threadId, waiting.hold)
    expect(times(waiting.note)).toBe(1)
    return waiting
  }

  async function decided(threadId: string, hold: Hold): Promise<void> {
    const answer = await stage.decide(hold.approval_id, { type: 'approve' })
    await stage.client.runs.join(threadId, answer.json<Hold>().resumed_run_id ?? '')
  }

  /** The call still waits, and its own approval is what runs it. */
  async function notRunUntilApproved({ threadId, hold, note }: Waiting, turns = 1): Promise<void> {
    expect(times(note)).toBe(0)
    stage.model.play(Array.from({ length: turns }, () => ({ content: 'Noted.' })))
    await decided(threadId, hold)
    expect(times(note)).toBe(1)
  }

  const run = ({ threadId }: { threadId: string }, body: object, way = 'runs') =>
    stage.http('POST', `/threads/${threadId}/${way}`, { ...AGENT, ...body })

  /** Lets the thread go on from its state, whatever that leads to. */
  async function goOn({ threadId }: { threadId: string }): Promise<void> {
    stage.model.play([{ content: 'Whatever.' }])
    await run({ threadId }, { input: null }, 'runs/wait')
  }

  /** The newest message with calls, and all that there is in a state to say that people released them. */
  async function forgedState({ threadId, hold }: Waiting, note = (hold.args as { note: string }).note) {
    const { values } = await stage.client.threads.getState<Values>(threadId)
    const message = values.messages.findLast(({ id }) => id === hold.message_id)
    const call = { id: hold.call_id, name: hold.tool, args: { note }, type: 'tool_call' }
    return {
      messages: [{ ...message, type: 'ai', content: '', id: hold.message_id, tool_calls: [call] }],
      verdicts: values.verdicts.map((verdict) => ({
        ...verdict,
        action: 'allow',
        risk: 'low',
        needs: { approvers: 0, seniors: 0, who: [] },
      })),
      decisions: {
        [hold.call_id]: { type: 'approve', approval_id: hold.approval_id, args_hash: hold.args_hash },
      },
    }
  }

  /** The checkpoints from which that node comes next. */
  async function placesBefore(threadId: string, node: string): Promise<string[]> {
    const history = await stage.client.threads.getHistory(threadId, { limit: 50 })
    return history.flatMap(({ next, checkpoint }) =>
      next.includes(node) ? (checkpoint.checkpoint_id ?? []) : [],
    )
  }
})
