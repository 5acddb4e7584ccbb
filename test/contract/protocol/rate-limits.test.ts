import { Client } from '@langchain/langgraph-sdk'
import { expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { type Answer, mailTo, says, untilThread } from '../../support/stage.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  cleo: { roles: ['approver'] },
  root: { roles: ['admin'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

const MOST = 4

onEachDatabase((database) => {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, {
    HOLDPOINT_WRONG_KEYS: String(MOST),
    HOLDPOINT_DECISIONS: String(MOST),
    HOLDPOINT_PROXIES: '1',
  })
  /** As a proxy in front passes it on; what the caller says of themselves stands before. */
  const from = (address: string) => ({ 'x-forwarded-for': `198.51.100.99, ${address}` })
  const read = (address: string, key: string) =>
    stage.http('GET', '/approvals', undefined, { ...from(address), 'x-api-key': key })
  const wrongKey = (n: number) => `hp_${String(n).padStart(16, '0')}_${'x'.repeat(43)}`
  const expectLimited = (answer: Answer) => {
    expect(answer.status, answer.text).toBe(429)
    const seconds = Number(answer.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(answer.text).toContain(`Try again in ${seconds} second`)
  }
  const statusesOf = async (answers: Promise<Answer>[]) =>
    (await Promise.all(answers)).map(({ status }) => status)

  const client = () =>
    new Client({ apiUrl: stage.url, apiKey: keyOf('otto'), callerOptions: { maxRetries: 0 } })

  async function held(): Promise<Hold> {
    stage.play({ toolCalls: [mailTo('limits')] })
    const { thread_id: threadId } = await client().threads.create()
    await client().runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = (await as('ada', 'GET', `/approvals?thread_id=${threadId}`)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return hold
  }

  test('whoever tries keys is asked to wait; whose key is right stays in, and nobody else waits', async () => {
    expect((await read('203.0.113.1', keyOf('ada'))).status).toBe(200)
    for (let n = 0; n < MOST; n += 1) expect((await read('203.0.113.1', wrongKey(n))).status).toBe(401)
    expectLimited(await read('203.0.113.1', wrongKey(MOST)))
    // Not even a right one, that nobody has shown here: it may be a guess.
    expectLimited(await read('203.0.113.1', keyOf('ben')))
    expect((await read('203.0.113.1', keyOf('ada'))).status).toBe(200)
    expect((await read('203.0.113.2', keyOf('ben'))).status).toBe(200)
    expect((await read('203.0.113.2', wrongKey(0))).status).toBe(401)
    const { text } = await stage.http('GET', '/metrics', undefined, { 'x-api-key': keyOf('root') })
    expect(text).toMatch(/^# TYPE holdpoint_rate_limited_total counter\nholdpoint_rate_limited_total [2-9]/m)
    expect(stage.logLines.filter((line) => line.includes('203.0.113.1'))).toHaveLength(1)
  })

  test('one wrong key that is sent over and over keeps nobody out', async () => {
    const answers = Array.from({ length: 3 * MOST }, () => read('203.0.113.3', wrongKey(7)))
    expect(new Set(await statusesOf(answers))).toEqual(new Set([401]))
    expect((await read('203.0.113.3', keyOf('ben'))).status).toBe(200)
  })

  test('the addresses of one IPv6 network are one', async () => {
    for (let n = 0; n < MOST; n += 1)
      expect((await read(`2001:db8:1:2::${n + 1}`, wrongKey(n))).status).toBe(401)
    expectLimited(await read('2001:db8:1:2:ffff::1', wrongKey(99)))
    expect((await read('2001:db8:1:3::1', wrongKey(99))).status).toBe(401)
  })

  test('whoever tries links is asked to wait; the link itself works from elsewhere, and can still be used', async () => {
    const hold = await held()
    const issued = await as('root', 'POST', `/approvals/${hold.approval_id}/links`, { principal: 'ada' })
    const { pathname } = new URL(issued.json<{ url: string }>().url)
    const open = (address: string, path: string) => stage.http('GET', path, undefined, from(address))
    for (let n = 0; n < MOST; n += 1) expect((await open('203.0.113.4', `${pathname}${n}`)).status).toBe(410)
    expectLimited(await open('203.0.113.4', `${pathname}x`))
    expectLimited(await open('203.0.113.4', pathname))
    expect((await open('203.0.113.5', pathname)).status).toBe(200)
    stage.model.play([{ content: 'Then not.' }])
    const answer = await stage.http('POST', pathname, { type: 'reject' }, from('203.0.113.5'))
    expect(answer.json()).toMatchObject({ status: 'rejected' })
    await untilThread(client(), hold.thread_id, 'idle')
  })

  test('a person’s words on approvals have a pace, whatever they say; that of others is theirs', async () => {
    const hold = await held()
    const comment = (name: Name) => as(name, 'POST', `/approvals/${hold.approval_id}/comments`, { text: 'x' })
    const statuses = await statusesOf(Array.from({ length: MOST }, () => comment('cleo')))
    expect(statuses).toEqual(statuses.map(() => 200))
    expectLimited(await comment('cleo'))
    expectLimited(await as('cleo', 'POST', `/approvals/${hold.approval_id}/decisions`, { type: 'approve' }))
    expectLimited(await as('cleo', 'DELETE', `/approvals/${hold.approval_id}/votes`))
    expect((await as('cleo', 'GET', `/approvals/${hold.approval_id}`)).json()).toMatchObject({ votes: [] })
    expect((await comment('ben')).status).toBe(200)
  })
})
