import { beforeAll, describe, expect, inject, test, vi } from 'vitest'
import type { ServerProcess } from '../../chaos/server-process.ts'
import { type Failpoint, FAILPOINTS } from '../../runtime/failpoint.ts'
import { type Call, type Started, useServers, WAIT } from './stage.ts'

const ONCE: Call = { tool: 'journal_once' }

describe.skipIf(inject('services').postgres === null)('a server that dies at', () => {
  const stage = useServers()
  const covered = new Set<Failpoint>()
  let rescuer: ServerProcess
  beforeAll(async () => {
    rescuer = await stage.server()
  })

  /** Starts a run on a server that dies at the failpoint, while the other one sleeps. */
  async function die(name: Failpoint, turns: Call[][], { pass = 1, more = {} } = {}): Promise<Started> {
    covered.add(name)
    await stage.asleep(rescuer)
    const doomed = await stage.server(`${name}=kill@${pass}`)
    const started = await stage.run(doomed, turns, 'chaos_react', more)
    expect((await doomed.ended).signal).toBe('SIGKILL')
    return started
  }

  /** The other one wakes up and brings the run to its end, with all that holds for every run. */
  async function rescue({ threadId, tag, note }: Started, { attempts = 2, effects = 1 } = {}): Promise<void> {
    rescuer.signal('SIGCONT')
    const runs = await stage.ended(threadId)
    expect(runs[0]?.attempt).toBe(attempts)
    expect(await stage.threadStatus(threadId)).toBe('idle')
    expect(await stage.said(threadId, `CHAOS `)).toBe(1)
    expect(await stage.said(threadId, `done ${tag}`)).toBe(1)
    expect(await stage.times(note)).toBe(effects)
    const events = await stage.events(threadId)
    const first = events.filter(({ run_id }) => run_id === runs[0]?.run_id)
    expect(first.map(({ seq }) => seq)).toEqual(first.map((_, index) => index))
    expect(first.filter(({ event }) => event === '__end__')).toEqual([first.at(-1)])
  }

  const attempt = (data: string | undefined) => (JSON.parse(data ?? '{}') as { attempt?: number }).attempt

  test('run.create:before has acknowledged nothing and left nothing', async () => {
    const { threadId } = await die('run.create:before', [])
    expect(await stage.runs(threadId)).toEqual([])
    expect(await stage.threadStatus(threadId)).toBeUndefined()
    rescuer.signal('SIGCONT')
  })

  test('run.create:after leaves a run that another server executes', async () => {
    const started = await die('run.create:after', [[ONCE]])
    const [run] = await stage.runs(started.threadId)
    expect(['pending', 'running']).toContain(run?.status)
    await rescue(started, { attempts: (run?.attempt ?? 0) + 1 })
  })

  test('run.claim:after leaves a run that its lease binds, and no longer', async () => {
    const started = await die('run.claim:after', [[ONCE]])
    expect(await stage.runs(started.threadId)).toMatchObject([{ status: 'running', attempt: 1 }])
    expect(await stage.events(started.threadId)).toEqual([])
    await rescue(started)
  })

  test('events.append:before has shown nobody an event whose number is given to another', async () => {
    const started = await die('events.append:before', [[ONCE]])
    expect(await stage.events(started.threadId)).toEqual([])
    await rescue(started)
    // The first one is known from the run's creation on, and is what it was.
    const events = await stage.events(started.threadId)
    expect(events.slice(0, 2).map(({ data }) => attempt(data))).toEqual([1, 2])
  })

  test('events.append:after has its events kept, and the next are numbered on', async () => {
    const started = await die('events.append:after', [[ONCE]], { pass: 2 })
    const before = await stage.events(started.threadId)
    expect(before.length).toBeGreaterThan(0)
    await rescue(started)
    const after = await stage.events(started.threadId)
    expect(after.slice(0, before.length)).toEqual(before)
    expect(attempt(after[before.length]?.data)).toBe(2)
  })

  test('checkpoint.put:before has not stored the input, which is applied once', async () => {
    const started = await die('checkpoint.put:before', [[ONCE]])
    expect(await stage.checkpoints(started.threadId)).toEqual([])
    await rescue(started)
  })

  test('checkpoint.put:after has stored the input, which is not applied again', async () => {
    const started = await die('checkpoint.put:after', [[ONCE]])
    // With it came the step that it travels with.
    expect(await stage.checkpoints(started.threadId)).toMatchObject([{ step: '-1' }, { step: '0' }])
    await rescue(started)
  })

  test('checkpoint.writes:before loses the step that was not stored, and no more', async () => {
    const asked = stage.asked()
    const started = await die('checkpoint.writes:before', [[ONCE]], { pass: 2 })
    expect(stage.asked() - asked).toBe(1)
    await rescue(started)
    // The model's answer was not stored, so it is asked for it again.
    expect(stage.asked() - asked).toBe(3)
  })

  test('checkpoint.writes:after loses nothing of the step that was stored', async () => {
    const asked = stage.asked()
    const started = await die('checkpoint.writes:after', [[ONCE]], { pass: 2 })
    expect(stage.asked() - asked).toBe(1)
    await rescue(started)
    expect(stage.asked() - asked).toBe(2)
  })

  test('effect.intend:before has begun nothing', async () => {
    const started = await die('effect.intend:before', [[ONCE]])
    expect(await stage.effects(started.threadId)).toEqual([])
    expect(await stage.times(started.note)).toBe(0)
    await rescue(started)
    expect(await stage.holds(started.threadId)).toEqual([])
  })

  test('effect.intend:after leaves a doubt that the probe settles: it can no longer happen, so it is done', async () => {
    const started = await die('effect.intend:after', [[ONCE]])
    expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'intended' }])
    expect(await stage.times(started.note)).toBe(0)
    await rescue(started)
    expect(await stage.holds(started.threadId)).toEqual([])
  })

  test.each(['effect.call:after', 'effect.conclude:before'] as const)(
    '%s leaves a doubt that the probe settles: it happened, so it is not done again',
    async (name) => {
      const started = await die(name, [[ONCE]])
      expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'intended' }])
      expect(await stage.times(started.note)).toBe(1)
      await rescue(started)
      expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'done' }])
      expect(await stage.holds(started.threadId)).toEqual([])
    },
  )

  test('effect.conclude:after has the outcome, which is read and not made again', async () => {
    const started = await die('effect.conclude:after', [[{ tool: 'journal_once_blind' }]])
    expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'done' }])
    await rescue(started)
    expect(await stage.holds(started.threadId)).toEqual([])
  })

  test.each(['effect.intend:after', 'effect.call:after'] as const)(
    '%s with an idempotent tool calls it again with the same key',
    async (name) => {
      const started = await die(name, [[{ tool: 'journal_idempotent' }]])
      const [before] = await stage.effects(started.threadId)
      await rescue(started, { effects: name === 'effect.call:after' ? 2 : 1 })
      expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'done', key: before?.key }])
    },
  )

  test('effect.call:after without a probe asks a person, whose word is what counts', async () => {
    const started = await die('effect.call:after', [[{ tool: 'journal_once_blind' }]])
    expect(await stage.times(started.note)).toBe(1)
    await inDoubt(started, { type: 'respond', message: 'It is in the journal.' })
    await rescue(started)
    expect(await stage.effects(started.threadId)).toMatchObject([{ status: 'done' }])
  })

  test('effect.intend:after without a probe asks a person, and a second death asks again', async () => {
    const started = await die('effect.intend:after', [[{ tool: 'journal_once_blind' }]])
    await vi.waitFor(async () => expect(await pendingOf(started)).toHaveLength(1), wake())
    const [first] = await pendingOf(started)
    // "It did not, run it": and the one that runs it dies in the middle again.
    await stage.asleep(rescuer)
    const doomed = await stage.server('effect.intend:after=kill')
    expect((await stage.decide(doomed, first?.approval_id ?? '', { type: 'approve' })).status).toBe(200)
    expect((await doomed.ended).signal).toBe('SIGKILL')
    await inDoubt(started, { type: 'approve' })
    await rescue(started)
    expect((await stage.holds(started.threadId)).map(({ status, n }) => [status, n])).toEqual([
      ['approved', 1],
      ['approved', 1],
    ])
  })

  test('hold.decide:before has decided nothing: the hold still waits', async () => {
    const { started, approvalId, doomed } = await held('hold.decide:before')
    await expect(stage.decide(doomed, approvalId, { type: 'approve' })).rejects.toThrow('fetch failed')
    expect(await stage.holds(started.threadId)).toMatchObject([{ status: 'pending', n: 0 }])
    expect(await stage.runs(started.threadId)).toHaveLength(1)
    rescuer.signal('SIGCONT')
    expect((await stage.decide(rescuer, approvalId, { type: 'approve' })).status).toBe(200)
    await rescue(started, { attempts: 1 })
  })

  test('hold.decide:after has decided, once, and its run goes on', async () => {
    const { started, approvalId, doomed } = await held('hold.decide:after')
    await expect(stage.decide(doomed, approvalId, { type: 'approve' })).rejects.toThrow('fetch failed')
    expect(await stage.holds(started.threadId)).toMatchObject([{ status: 'approved', n: 1 }])
    expect(await stage.runs(started.threadId)).toHaveLength(2)
    rescuer.signal('SIGCONT')
    expect((await stage.decide(rescuer, approvalId, { type: 'reject' })).status).toBe(409)
    await rescue(started, { attempts: 1 })
  })

  test('run.settle:before has ended nothing: the run is taken over and ended', async () => {
    const started = await die('run.settle:before', [[ONCE]])
    expect(await stage.runs(started.threadId)).toMatchObject([{ status: 'running' }])
    await rescue(started)
  })

  test('run.settle:after has ended it, with all that belongs to the end', async () => {
    const started = await die('run.settle:after', [[ONCE]])
    expect(await stage.runs(started.threadId)).toMatchObject([{ status: 'success', attempt: 1 }])
    await rescue(started, { attempts: 1 })
  })

  test.each([
    ['outbox.publish:before', 0],
    ['outbox.publish:after', 0],
  ] as const)('%s has the mail sent once', async (name, mails) => {
    // The file that people look for comes after the claim, which is what counts.
    const { started, approvalId, doomed } = await held(name, { tool: 'send_email' })
    expect((await stage.decide(doomed, approvalId, { type: 'approve' })).status).toBe(200)
    expect((await doomed.ended).signal).toBe('SIGKILL')
    expect(await stage.times(started.note)).toBe(mails)
    await rescue(started, { attempts: 1 })
    expect(await stage.holds(started.threadId)).toHaveLength(1)
    expect((await stage.runs(started.threadId)).map(({ attempt: tries }) => tries)).toEqual([1, 2])
  })

  test('record.append:after has begun no effect and recorded none', async () => {
    const started = await die('record.append:after', [[ONCE]])
    expect(await stage.effects(started.threadId)).toEqual([])
    expect(await stage.record(started.threadId)).toEqual([])
    await rescue(started)
    expect(await stage.record(started.threadId)).toEqual(['effect.begun', 'effect.ended'])
  })

  test('record.append:after has decided nothing and recorded no decision', async () => {
    const { started, approvalId, doomed } = await held('record.append:after')
    await expect(stage.decide(doomed, approvalId, { type: 'approve' })).rejects.toThrow('fetch failed')
    expect(await stage.holds(started.threadId)).toMatchObject([{ status: 'pending', n: 0 }])
    expect(await stage.record(started.threadId)).toEqual(['hold.requested'])
    rescuer.signal('SIGCONT')
    expect((await stage.decide(rescuer, approvalId, { type: 'approve' })).status).toBe(200)
    await rescue(started, { attempts: 1 })
    expect(await stage.record(started.threadId)).toEqual([
      'hold.requested',
      'hold.decided',
      'grant.committed',
      'grant.consumed',
      'effect.begun',
      'effect.ended',
    ])
  })

  test('anywhere has left the record whole: no gap, each effect begun and ended, each decision once', async () => {
    const { entries, faults } = await stage.verify()
    expect(faults).toEqual([])
    expect(entries).toBeGreaterThan(covered.size)
    expect(await stage.unrecorded()).toEqual([])
  })

  test('any failpoint that there is', () => {
    expect([...covered].sort()).toEqual([...FAILPOINTS].sort())
  })

  /** A run that the rescuer has brought to its hold, and a server that dies at the failpoint. */
  async function held(name: Failpoint, call: Call = { tool: 'journal_held' }) {
    covered.add(name)
    rescuer.signal('SIGCONT')
    const started = await stage.run(rescuer, [[call]])
    await vi.waitFor(async () => expect(await pendingOf(started)).toHaveLength(1), WAIT)
    await stage.ended(started.threadId)
    await stage.asleep(rescuer)
    const [hold] = await pendingOf(started)
    return { started, approvalId: hold?.approval_id ?? '', doomed: await stage.server(`${name}=kill`) }
  }

  async function pendingOf({ threadId }: Started) {
    return (await stage.holds(threadId)).filter(({ status }) => status === 'pending')
  }

  function wake() {
    rescuer.signal('SIGCONT')
    return WAIT
  }

  /** Waits until a person is asked, and answers. */
  async function inDoubt(started: Started, decision: object): Promise<void> {
    await vi.waitFor(
      async () => expect(await pendingOf(started)).toMatchObject([{ kind: 'in_doubt' }]),
      wake(),
    )
    const [hold] = await pendingOf(started)
    expect((await stage.decide(rescuer, hold?.approval_id ?? '', decision)).status).toBe(200)
  }
})
