import { expect, test } from 'vitest'
import { createEffects } from '../../../storage/effects.ts'
import { LOCAL } from '../../../runtime/people.ts'
import type { Intent } from '../../../runtime/effect.ts'
import { newId } from '../../../runtime/ids.ts'
import { doubtId, grantHash } from '../../../runtime/call.ts'
import type { HoldRequest } from '../../../runtime/hold.ts'
import { type Needs, ONE_PERSON } from '../../../runtime/needs.ts'
import { NOTHING_SHOWN } from '../../../runtime/preview.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createClaimed,
  createRun,
  createWorker,
  endedWell,
  pausedState,
  useStorage,
} from '../../support/storage.ts'

onBothDatabases((database) => {
  const storage = useStorage(database)

  test('of many decisions at once one wins, and the run goes on once', async () => {
    const { mine, other } = storage
    const { threadId, ids } = await held([{ n: 1 }])
    const answers = await Promise.allSettled(
      (['approve', 'reject', 'approve', 'reject'] as const).map((type, index) =>
        (index % 2 === 0 ? mine : other).holds.decide(ids[0] ?? '', { type }, LOCAL, undefined),
      ),
    )
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const answer of answers)
      if (answer.status === 'rejected') expect(answer.reason).toMatchObject({ code: 'hold_decided' })
    expect((await mine.holds.get(ids[0] ?? ''))?.decisions).toHaveLength(1)
    expect((await mine.runs.list(threadId, { status: 'pending', limit: 10, offset: 0 })).total).toBe(1)
  })

  test("two people who decide a message's last two calls at once make one run", async () => {
    const { mine, other } = storage
    const { threadId, state, ids } = await held([{ n: 1 }, { n: 2 }])
    const [first, second] = await Promise.all([
      mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined),
      other.holds.decide(ids[1] ?? '', { type: 'reject', message: 'no' }, LOCAL, undefined),
    ])
    const resumed = [first.resumed_run_id, second.resumed_run_id].filter((id) => id !== null)
    expect(resumed).toHaveLength(1)
    const runs = await mine.runs.list(threadId, { status: 'pending', limit: 10, offset: 0 })
    expect(runs.items.map(({ run_id }) => run_id)).toEqual(resumed)
    // The run's answer has both decisions, each with the hash of what it was made on.
    const [answer] = Object.values(runs.items[0]?.kwargs.command?.resume ?? {})
    expect(answer).toEqual({
      decisions: expect.toSatisfy((decisions: unknown[]) => decisions.length === 2),
    })
    expect(answer).toMatchObject({
      decisions: expect.arrayContaining([
        { approval_id: ids[0], args_hash: state.holds[0]?.args_hash, type: 'approve' },
        { approval_id: ids[1], args_hash: state.holds[1]?.args_hash, type: 'reject', message: 'no' },
      ]),
    })
  })

  test('a thread with a time to live outlives it while somebody is asked', async () => {
    const { mine } = storage
    const { threadId, ids } = await held([{ n: 1 }])
    await mine.threads.setTtl(threadId, { strategy: 'delete', ttl_minutes: 1 })
    const expired = async () =>
      (await mine.threads.expired(new Date(Date.now() + 3_600_000))).map((thread) => thread.threadId)
    expect(await expired()).not.toContain(threadId)
    await mine.holds.decide(ids[0] ?? '', { type: 'reject' }, LOCAL, undefined)
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell())
    expect(await expired()).toContain(threadId)
  })

  test('a word on a call in doubt that was taken back before it counted does not count', async () => {
    const { mine } = storage
    const { threadId, state, ids } = await held([{ n: 1 }])
    const call = { threadId, messageId: state.messageId, callId: 'call-0' }
    const hash = state.holds[0]?.args_hash ?? ''
    const grant = grantHash(call, { name: 'send_email', version: '1' }, { n: 1 })
    const doubt = doubtId(call, hash, 'owner')
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    const run = await claimOf(mine, await createWorker(mine), threadId)
    const intent: Intent = {
      call,
      argsHash: hash,
      tool: 'send_email',
      toolVersion: '1',
      effect: 'once',
      key: newId(),
      grant: { hash: grant, approvalId: ids[0] ?? '', voices: [] },
    }
    expect(await createEffects(mine.db).ledger(run).intend(intent)).toEqual({ state: 'begin' })
    const asked = { ...state.holds[0], kind: 'in_doubt', owner: 'owner', approval_id: doubt } as HoldRequest
    const interruptId = newId().replaceAll('-', '')
    await mine.queue.settle(run, {
      ...endedWell({
        holds: [{ ...asked, interrupt_id: interruptId }],
        interrupts: { task: [{ id: interruptId, value: null }] },
        paused: true,
      }),
    })
    const effect = async () =>
      (await createEffects(mine.db).list(threadId, { limit: 9, offset: 0 }))[0]?.status

    const { resumed_run_id } = await mine.holds.decide(doubt, { type: 'approve' }, LOCAL, undefined)
    expect(await effect()).toBe('retry')
    await mine.runs.cancel(threadId, resumed_run_id ?? '', 'interrupt')
    expect(await mine.holds.get(doubt)).toMatchObject({ status: 'pending' })
    expect(await effect()).toBe('intended')
    await mine.holds.decide(doubt, { type: 'reject' }, LOCAL, undefined)
    expect(await effect()).toBe('skipped')
  })

  test('a run that fails leaves the questions that the state still asks, and no other', async () => {
    const { mine } = storage
    const { threadId, state } = await held([{ n: 1 }])
    const command = { request: { command: { goto: 'x' } } }
    const error = { error: 'Error', message: 'No.' }
    for (const waiting of [[state.interruptId], []]) {
      await createRun(mine, threadId, command)
      const run = await claimOf(mine, await createWorker(mine), threadId)
      const left = endedWell({ complete: false, waiting })
      await mine.queue.settle(run, { ...left, status: 'error', error })
      expect(Object.keys((await mine.threads.get(threadId))?.interrupts ?? {})).toHaveLength(waiting.length)
    }
  })

  test('the run that waits for a decision is not deleted before it', async () => {
    const { mine } = storage
    const { threadId, run, ids } = await held([{ n: 1 }])
    await expect(mine.runs.delete(threadId, run.run_id)).rejects.toMatchObject({ code: 'thread_held' })
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell())
    expect(await mine.runs.delete(threadId, run.run_id)).toBe(true)
  })

  test("a deleted thread's decisions release nothing, and its id is nobody else's", async () => {
    const { mine } = storage
    const { threadId, state, ids } = await held([{ n: 1 }])
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell())
    await mine.threads.delete(threadId)
    const call = { threadId, messageId: state.messageId, callId: 'call-0' }
    expect(await mine.holds.released(call)).toBeUndefined()
    const again = {
      thread_id: threadId,
      metadata: {},
      ttl: undefined,
      tenant: 'default',
      ifExists: 'raise',
    } as const
    await expect(mine.threads.create(again)).rejects.toMatchObject({ code: 'thread_exists' })
    await expect(createRun(mine, threadId, {}, { createThread: true })).rejects.toMatchObject({
      code: 'thread_not_found',
    })
  })

  test('what may run is what was approved or edited, and nothing else', async () => {
    const { mine } = storage
    const { state, ids } = await held([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
    const releasedHash = async (index: number) => {
      const { threadId, messageId } = state
      return (await mine.holds.released({ threadId, messageId, callId: `call-${index}` }))?.hash
    }
    expect(await Promise.all([0, 1, 2, 3].map(releasedHash))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ])
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    await mine.holds.decide(ids[1] ?? '', { type: 'edit', args: { n: 5 } }, LOCAL, {
      args: { n: 5 },
      hash: 'edited',
      needs: { ...ONE_PERSON, who: ['approver', 'ops'] },
      shown: NOTHING_SHOWN,
    })
    expect(await mine.holds.get(ids[1] ?? '')).toMatchObject({
      needs: { approvers: 1, who: ['approver', 'ops'] },
    })
    await mine.holds.decide(ids[2] ?? '', { type: 'reject' }, LOCAL, undefined)
    await mine.holds.decide(ids[3] ?? '', { type: 'respond', message: 'x' }, LOCAL, undefined)
    expect(await Promise.all([0, 1, 2, 3].map(releasedHash))).toEqual([
      state.holds[0]?.args_hash,
      'edited',
      undefined,
      undefined,
    ])
    const elsewhere = { messageId: state.messageId, callId: 'call-0', threadId: newId() }
    expect(await mine.holds.released(elsewhere)).toBeUndefined()
    expect(
      (await mine.holds.search({ limit: 10, offset: 0 })).items.map(({ status }) => status).toSorted(),
    ).toEqual(['approved', 'edited', 'rejected', 'responded'])
  })

  test('a call that is held again after a fork asks again, and its old release counts no more', async () => {
    const { mine } = storage
    const { threadId, state, ids } = await held([{ n: 1 }])
    const call = { threadId, messageId: state.messageId, callId: 'call-0' }
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    const worker = await createWorker(mine)
    await mine.queue.settle(await claimOf(mine, worker, threadId), endedWell())
    expect(await mine.holds.released(call)).toMatchObject({
      hash: state.holds[0]?.args_hash,
      votes: [{ by: 'local', type: 'approve' }],
      escalated: false,
    })

    await createRun(mine, threadId)
    const again = pausedState(threadId, [{ n: 1 }], newId().replaceAll('-', ''), state.messageId)
    expect(again.holds[0]?.approval_id).toBe(ids[0])
    await mine.queue.settle(await claimOf(mine, worker, threadId), endedWell(again))
    expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({
      status: 'pending',
      interrupt_id: again.interruptId,
      resumed_run_id: null,
      decided_at: null,
    })
    expect(await mine.holds.released(call)).toBeUndefined()
    await mine.holds.decide(ids[0] ?? '', { type: 'reject' }, LOCAL, undefined)
    expect(await mine.holds.released(call)).toBeUndefined()
  })

  test('the same pause reported again leaves what was decided', async () => {
    const { mine } = storage
    const { threadId, state, ids } = await held([{ n: 1 }, { n: 2 }])
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    // Another pause of the thread was answered meanwhile, and this one was met again.
    await createRun(mine, threadId, { request: { command: { resume: {} } } })
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell(state))
    expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({ status: 'approved' })
    expect(await mine.holds.get(ids[1] ?? '')).toMatchObject({ status: 'pending' })
  })

  test('a pause that is gone takes its holds with it, and they cannot be decided', async () => {
    const { mine } = storage
    const { threadId, ids } = await held([{ n: 1 }])
    await createRun(mine, threadId, { request: { command: { goto: '__end__' } } })
    expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({ status: 'cancelled' })
    await expect(
      mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined),
    ).rejects.toMatchObject({
      code: 'hold_decided',
    })
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell())
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'idle', interrupts: {} })
  })

  test('an approval whose time is over ends as a rejection, once', async () => {
    const { mine, other } = storage
    const { threadId, ids } = await held([{ n: 1 }, { n: 2 }])
    const expiry = Date.parse((await mine.holds.get(ids[0] ?? ''))?.expires_at ?? '')
    expect(await mine.holds.expire(new Date(expiry - 60_000))).toBe(0)
    await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    const swept = await Promise.all([mine, other].map(({ holds }) => holds.expire(new Date(expiry + 60_000))))
    expect(swept.reduce((sum, n) => sum + n)).toBe(1)
    expect(await mine.holds.get(ids[1] ?? '')).toMatchObject({ status: 'expired' })
    const runs = await mine.runs.list(threadId, { status: 'pending', limit: 10, offset: 0 })
    expect(runs.total).toBe(1)
    const [answer] = Object.values(runs.items[0]?.kwargs.command?.resume ?? {})
    expect(answer).toMatchObject({
      decisions: expect.arrayContaining([
        expect.objectContaining({ approval_id: ids[0], type: 'approve' }),
        expect.objectContaining({
          approval_id: ids[1],
          type: 'reject',
          message: 'The approval expired.',
        }),
      ]),
    })
  })

  test('each hold expires when its own needs say, and one that waits never', async () => {
    const { mine } = storage
    const soon = { ...ONE_PERSON, approvers: 2, expires_in: 60 }
    const never: Needs = { ...ONE_PERSON, expires_in: null, on_expiry: 'wait' }
    const { ids } = await held([{ n: 1 }, { n: 2 }], [soon, never])
    const [first, second] = await Promise.all(ids.map((id) => mine.holds.get(id)))
    expect(first).toMatchObject({ needs: soon, requester: null })
    expect(Date.parse(first?.expires_at ?? '') - Date.parse(first?.created_at ?? '')).toBe(60_000)
    expect(second).toMatchObject({ expires_at: null, needs: never })
    expect(await mine.holds.expire(new Date(Date.now() + 1e12))).toBe(1)
    expect(await mine.holds.get(second?.approval_id ?? '')).toMatchObject({ status: 'pending' })
    const decided = await mine.holds.decide(second?.approval_id ?? '', { type: 'approve' }, LOCAL, undefined)
    expect(decided.resumed_run_id).not.toBeNull()
  })

  test('deleting a thread cancels its holds, keeps their rows and removes all else', async () => {
    const { mine } = storage
    const { threadId, ids, run } = await held([{ n: 1 }])
    await createRun(mine, threadId)
    expect(await mine.threads.delete(threadId)).toBe(true)
    expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({ status: 'cancelled' })
    await expect(
      mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined),
    ).rejects.toMatchObject({
      code: 'hold_decided',
    })
    expect(await mine.runs.get(threadId, run.run_id)).toBeUndefined()
    expect(await mine.events.read(threadId, run.run_id, -1, 10)).toEqual([])
    expect(await mine.queue.claim(await createWorker(mine), 10)).toEqual([])
    expect(await mine.threads.delete(threadId)).toBe(false)
  })

  for (const how of ['cancelled', 'rolled back', 'deleted'] as const) {
    test(`an answer whose run is ${how} before it begins leaves the question open`, async () => {
      const { mine } = storage
      const { threadId, state, ids } = await held([{ n: 1 }])
      const decide = () => mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
      const runId = (await decide()).resumed_run_id ?? ''
      if (how === 'deleted') expect(await mine.runs.delete(threadId, runId)).toBe(true)
      else await mine.runs.cancel(threadId, runId, how === 'cancelled' ? 'interrupt' : 'rollback')
      expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({ status: 'pending', resumed_run_id: null })
      const call = { threadId, messageId: state.messageId, callId: 'call-0' }
      expect(await mine.holds.released(call)).toBeUndefined()
      expect(await mine.threads.get(threadId)).toMatchObject({ status: 'interrupted' })
      expect(await mine.queue.claim(await createWorker(mine), 10)).toEqual([])

      const again = (await decide()).resumed_run_id
      const run = await claimOf(mine, await createWorker(mine), threadId)
      expect(run.run_id).toBe(again)
      expect(run.kwargs.command?.resume).toMatchObject({
        [state.interruptId]: { decisions: [{ approval_id: ids[0], type: 'approve' }] },
      })
    })
  }

  test('an answer that was given stays given when the record of its run is deleted', async () => {
    const { mine } = storage
    const { threadId, ids } = await held([{ n: 1 }])
    const hold = await mine.holds.decide(ids[0] ?? '', { type: 'approve' }, LOCAL, undefined)
    await mine.queue.settle(await claimOf(mine, await createWorker(mine), threadId), endedWell())
    expect(await mine.runs.delete(threadId, hold.resumed_run_id ?? '')).toBe(true)
    expect(await mine.holds.get(ids[0] ?? '')).toMatchObject({ status: 'approved' })
    expect(await mine.threads.get(threadId)).toMatchObject({ status: 'idle' })
  })

  test('a decision on an approval that does not exist changes nothing', async () => {
    await expect(
      storage.mine.holds.decide(newId(), { type: 'approve' }, LOCAL, undefined),
    ).rejects.toMatchObject({ code: 'hold_not_found' })
    expect(await storage.mine.holds.countPending()).toBe(0)
  })

  test('holds are found by status, thread and tool, with how many there are in all', async () => {
    const { mine } = storage
    const { threadId, ids } = await held([{ n: 1 }, { n: 2 }, { n: 3 }])
    await held([{ n: 4 }])
    await mine.holds.decide(ids[0] ?? '', { type: 'reject' }, LOCAL, undefined)
    const page = { limit: 1, offset: 1 }
    expect(await mine.holds.search({ thread_id: threadId, status: 'pending', ...page })).toMatchObject({
      total: 2,
    })
    expect(await mine.holds.search({ tool: 'send_email', ...page })).toMatchObject({ total: 4 })
    expect(await mine.holds.search({ tool: 'other', limit: 10, offset: 0 })).toEqual({ items: [], total: 0 })
    expect(await mine.holds.countPending()).toBe(3)
  })

  /** A thread whose first run stopped at one message with these calls. */
  async function held(calls: Parameters<typeof pausedState>[1], needs: Needs[] = []) {
    const { mine } = storage
    const run = await createClaimed(mine)
    const { thread_id: threadId } = run
    const paused = pausedState(threadId, calls)
    const holds = paused.holds.map((hold, index) => ({ ...hold, needs: needs[index] ?? hold.needs }))
    const state = { ...paused, holds, threadId }
    expect(await mine.events.append(run, 0, [{ event: 'metadata', data: '{}' }])).toBe(true)
    const events = { from: 1, list: [] }
    expect(await mine.queue.settle(run, { ...endedWell(state), events })).toBe(true)
    return { threadId, state, run, ids: state.holds.map(({ approval_id }) => approval_id) }
  }
})
