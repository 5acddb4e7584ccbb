import { describe, expect, test } from 'vitest'
import { LOCAL } from '../../../runtime/people.ts'
import type { Intent } from '../../../runtime/effect.ts'
import type { ClaimedRun } from '../../../runtime/run.ts'
import { createAudit } from '../../../storage/audit.ts'
import { createEffects } from '../../../storage/effects.ts'
import { onBothDatabases } from '../../support/each-database.ts'
import {
  claimOf,
  createClaimed,
  createRun,
  createWorker,
  endedWell,
  expireWorker,
  pausedState,
  useStorage,
} from '../../support/storage.ts'

const HOUR_MS = 3_600_000

const ANN = { ...LOCAL, identity: 'ann' }

onBothDatabases((database) => {
  const storage = useStorage(database)

  async function held(): Promise<{ threadId: string; approvalId: string; run: ClaimedRun }> {
    const { mine } = storage
    const run = await createClaimed(mine)
    const { thread_id: threadId } = run
    const state = pausedState(threadId, [{ n: 1 }])
    expect(await mine.queue.settle(run, endedWell(state))).toBe(true)
    return { threadId, approvalId: state.holds[0]?.approval_id ?? '', run }
  }
  const recordOf = (threadId: string) =>
    createAudit(storage.mine.db).search({ thread_id: threadId, order: 'asc', limit: 100 })
  /** Kind, whose doing, and why. */
  const told = async (threadId: string) =>
    (await recordOf(threadId)).map(({ kind, actor_type, data }) =>
      [kind, actor_type, (data['cause'] ?? data['status'] ?? data['tool_version']) as string].join(' '),
    )

  test('an approval whose time is over is recorded as nobody’s word', async () => {
    const { mine } = storage
    const { threadId } = await held()
    expect(await mine.holds.expire(new Date(Date.now() + 5 * HOUR_MS))).toBe(1)
    expect(await told(threadId)).toEqual(['hold.requested agent pending', 'hold.expired system expired'])
    expect((await recordOf(threadId))[1]?.oversight).toMatchObject({
      decision: 'expired',
      human_review: false,
      reviewed_by: null,
    })
  })

  test('a question that the end of another run takes away, and a settle that lost its lease', async () => {
    const { mine } = storage
    const { threadId } = await held()
    await mine.runs.create(
      {
        ...(await newRunOf(threadId)),
        request: { ...(await requestOf(threadId)), command: { goto: 'x' } },
        requested_by: [],
        requester_roles: null,
      },
      { createThread: false, allowed: {}, by: ANN, answers: [] },
    )
    expect(await told(threadId)).toEqual(['hold.requested agent pending', 'hold.cancelled person command'])
    const run = await claimOf(mine, await createWorker(mine), threadId)
    const lost = { ...run, lease_token: '0' }
    expect(await mine.queue.settle(lost, endedWell(pausedState(threadId, [{ n: 2 }])))).toBe(false)
    expect(await recordOf(threadId)).toHaveLength(2)
  })

  describe('a decision whose run is dropped before it began, or rolled back, is recorded as open again', () => {
    test.each(['deleted', 'cancelled'] as const)('%s', async (how) => {
      const { mine } = storage
      const { threadId, approvalId } = await held()
      const hold = await mine.holds.decide(approvalId, { type: 'approve' }, ANN, undefined)
      const runId = hold.resumed_run_id ?? ''
      if (how === 'deleted') await mine.runs.delete(threadId, runId, 'bob')
      else await mine.runs.cancel(threadId, runId, 'rollback', 'bob')
      expect(await told(threadId)).toEqual([
        'hold.requested agent pending',
        'hold.decided person approved',
        'grant.committed person 1',
        'hold.reopened person run_dropped',
        'grant.revoked person run_dropped',
      ])
      expect((await recordOf(threadId)).map(({ actor }) => actor).slice(1)).toEqual([
        'ann',
        'ann',
        'bob',
        'bob',
      ])
    })

    test('rolled back', async () => {
      const { mine } = storage
      const { threadId, approvalId } = await held()
      await mine.holds.decide(approvalId, { type: 'reject', message: 'no' }, ANN, undefined)
      const run = await claimOf(mine, await createWorker(mine), threadId)
      expect(await mine.queue.settle(run, { status: 'rolled_back' })).toBe(true)
      expect((await told(threadId)).at(-1)).toBe('hold.reopened agent run_rolled_back')
    })
  })

  test('what somebody decides a second time is not recorded', async () => {
    const { mine, other } = storage
    const { threadId, approvalId } = await held()
    await Promise.allSettled(
      [mine, other, mine, other].map(({ holds }) =>
        holds.decide(approvalId, { type: 'approve' }, ANN, undefined),
      ),
    )
    expect(await told(threadId)).toEqual([
      'hold.requested agent pending',
      'hold.decided person approved',
      'grant.committed person 1',
    ])
  })

  test('an effect is recorded where its intent and its end are written, and a lost lease records nothing', async () => {
    const { mine } = storage
    const { threadId } = await held()
    await createRun(mine, threadId, { request: { command: { goto: 'x' } } })
    const worker = await createWorker(mine)
    const run = await claimOf(mine, worker, threadId)
    const intent: Intent = {
      call: { threadId, messageId: 'm', callId: 'c' },
      argsHash: 'a'.repeat(64),
      tool: 'send_email',
      toolVersion: '1',
      effect: 'once',
      grant: undefined,
      key: run.run_id,
    }
    const ledger = createEffects(mine.db).ledger(run)
    expect(await ledger.intend(intent)).toEqual({ state: 'begin' })
    expect(await ledger.intend(intent)).toMatchObject({ state: 'in_doubt' })

    await expireWorker(mine, worker)
    const heir = await claimOf(mine, await createWorker(mine), threadId)
    await expect(ledger.conclude(intent, 'done', { status: 'ok' })).rejects.toThrow()
    const taken = createEffects(mine.db).ledger(heir)
    await taken.retake(intent, `${run.run_id}.${run.lease_token}`)
    await taken.conclude(intent, 'failed', { lone: '\ud800' })
    const entries = (await recordOf(threadId)).filter(({ kind }) => kind.startsWith('effect.'))
    expect(entries.map(({ kind, data }) => [kind, data['lease_token']])).toEqual([
      ['effect.begun', run.lease_token],
      ['effect.retaken', heir.lease_token],
      ['effect.ended', heir.lease_token],
    ])
    expect(entries[2]?.data).toMatchObject({ status: 'failed', args_sha256: 'a'.repeat(64) })
  })

  async function newRunOf(threadId: string) {
    const [run] = (await storage.mine.runs.list(threadId, { limit: 1, offset: 0 })).items
    if (run === undefined) throw new Error('The thread has no run.')
    return { ...run, run_id: crypto.randomUUID(), after_seconds: 0, request: run.kwargs }
  }
  const requestOf = async (threadId: string) => (await newRunOf(threadId)).request
})
