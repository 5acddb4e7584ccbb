import { beforeAll, describe, expect, inject, test, vi } from 'vitest'
import type { ServerProcess } from '../../chaos/server-process.ts'
import type { Failpoint } from '../../runtime/failpoint.ts'
import { httpOn } from '../support/stage.ts'
import { type Started, useServers, WAIT } from './stage.ts'

type Way = 'approvals' | 'resume'

describe.skipIf(inject('services').postgres === null)('a server that dies while a person decides, at', () => {
  const stage = useServers()
  let rescuer: ServerProcess
  beforeAll(async () => {
    rescuer = await stage.server()
  })

  // Before the commit nothing of it is there; after it, all.
  test.each<[Failpoint, Way, boolean]>([
    ['hold.decide:before', 'approvals', false],
    ['record.append:after', 'approvals', false],
    ['hold.decide:after', 'approvals', true],
    ['run.create:before', 'resume', false],
    ['record.append:after', 'resume', false],
    ['run.create:after', 'resume', true],
  ])('%s, by way of %s', async (failpoint, way, taken) => {
    const { started, approvalId, interruptId } = await held()
    const doomed = await stage.server(`${failpoint}=kill`)
    await expect(decide(doomed, way, { ...started, approvalId, interruptId })).rejects.toThrow('fetch failed')
    expect((await doomed.ended).signal).toBe('SIGKILL')
    expect(await whole(started)).toEqual(taken ? ['approved', 2, 1, 0] : ['pending', 1, 0, 0])
    expect(await stage.times(started.note)).toBe(0)

    rescuer.signal('SIGCONT')
    const again = await decide(rescuer, 'approvals', { ...started, approvalId, interruptId })
    expect(again.status).toBe(taken ? 409 : 200)
    await stage.ended(started.threadId)
    expect(await whole(started)).toEqual(['approved', 2, 0, 1])
    expect(await stage.times(started.note)).toBe(1)
  })

  test.each<[Failpoint, number]>([
    ['effect.intend:before', 0],
    ['effect.intend:after', 1],
    ['effect.call:after', 1],
    ['effect.conclude:before', 1],
    ['effect.conclude:after', 1],
  ])('%s, where the grant is used: once, with what it began', async (failpoint, used) => {
    const { started, approvalId, interruptId } = await held()
    const doomed = await stage.server(`${failpoint}=kill`)
    await decide(doomed, 'approvals', { ...started, approvalId, interruptId }).catch(() => undefined)
    expect((await doomed.ended).signal).toBe('SIGKILL')
    expect(await whole(started)).toEqual(['approved', 2, 1 - used, used])
    expect(await stage.effects(started.threadId)).toHaveLength(used)

    rescuer.signal('SIGCONT')
    await stage.ended(started.threadId)
    expect(await whole(started)).toEqual(['approved', 2, 0, 1])
    expect(await stage.times(started.note)).toBe(1)
    expect(await stage.holds(started.threadId)).toHaveLength(1)
  })

  /** A run at its hold, and the server that brought it there asleep. */
  async function held() {
    rescuer.signal('SIGCONT')
    const started = await stage.run(rescuer, [[{ tool: 'journal_held' }]])
    await vi.waitFor(async () => expect(await stage.holds(started.threadId)).toHaveLength(1), WAIT)
    await stage.ended(started.threadId)
    await stage.asleep(rescuer)
    const [hold] = await stage.holds(started.threadId)
    return { started, approvalId: hold?.approval_id ?? '', interruptId: hold?.interrupt_id ?? '' }
  }

  function decide(
    server: ServerProcess,
    way: Way,
    { threadId, approvalId, interruptId }: Started & { approvalId: string; interruptId: string },
  ) {
    if (way === 'approvals') return stage.decide(server, approvalId, { type: 'approve' })
    const command = { resume: { [interruptId]: { type: 'approve' } } }
    const body = { assistant_id: 'chaos_react', command }
    return httpOn(server.url)('POST', `/threads/${threadId}/runs`, body, { connection: 'close' })
  }

  /** What the hold became, the thread's runs, its grants that may be used, and those that are. */
  async function whole({ threadId }: Started) {
    const [hold] = await stage.holds(threadId)
    const grants = await stage.rows<{ used: boolean }>(
      'select consumed_at is not null as used from grants where thread_id = $1',
      threadId,
    )
    const used = grants.filter((grant) => grant.used).length
    return [hold?.status, (await stage.runs(threadId)).length, grants.length - used, used]
  }
})
