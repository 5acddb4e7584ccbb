import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test } from 'vitest'
import { linkKey, writeToken } from '../../../runtime/decision-link.ts'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import type { People } from '../../../runtime/people.ts'
import { type EachDatabase, onEachDatabase, onPostgres } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage, withPeople } from '../../support/keys.ts'
import { type Answer, mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'

const POLICY = new URL('../../support/quorum/policy.json', import.meta.url).pathname
const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  vera: { roles: ['viewer'] },
  bot: { roles: ['operator'], kind: 'agent' },
  root: { roles: ['admin'] },
  far: { roles: ['approver'], tenant: 'elsewhere' },
  farroot: { roles: ['admin'], tenant: 'elsewhere' },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

interface Link {
  url: string
  link_id: string
  expires_at: string
  decision: string | null
}
type Entry = { kind: string; actor: string; data: Record<string, unknown> }

function useLinks(database: EachDatabase) {
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, {
    HOLDPOINT_POLICY: POLICY,
    // More are tried here than an address may.
    HOLDPOINT_WRONG_KEYS: '0',
  })
  const client = (name: Name) =>
    new Client({ apiUrl: stage.url, apiKey: keyOf(name), callerOptions: { maxRetries: 0 } })
  /** That agent wants to send a mail of that subject. */
  async function held(subject: string, goesOn = false, asker: Name = 'otto') {
    stage.play({ toolCalls: [mailTo(subject)] }, ...(goesOn ? [{ content: 'Done.' }] : []))
    const { thread_id: threadId } = await client(asker).threads.create()
    await client(asker).runs.wait(threadId, 'react', { input: says('Mail.') })
    await untilThread(client(asker), threadId, 'interrupted')
    const [hold] = (await as('root', 'GET', `/approvals?thread_id=${threadId}`)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return { threadId, hold, id: hold.approval_id }
  }
  const ask = (by: Name, id: string, body: object) => as(by, 'POST', `/approvals/${id}/links`, body)
  const issue = async (id: string, principal: string, more: object = {}) => {
    const answer = await ask('root', id, { principal, ...more })
    expect(answer.status, answer.text).toBe(200)
    return answer.json<Link>()
  }
  const at = (link: Link) => new URL(link.url).pathname
  const see = async (id: string) => (await as('root', 'GET', `/approvals/${id}`)).json<Hold>()
  const get = (path: string, headers: Record<string, string> = {}) =>
    stage.http('GET', path, undefined, headers)
  const say = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    stage.http('POST', path, body, headers)
  const submit = (path: string, fields: Record<string, string>, headers: Record<string, string> = {}) =>
    stage.http('POST', path, new URLSearchParams(fields).toString(), {
      'content-type': 'application/x-www-form-urlencoded',
      origin: 'null',
      'sec-fetch-site': 'same-origin',
      ...headers,
    })
  return { stage, keyOf, as, client, held, ask, issue, at, see, get, say, submit }
}

onEachDatabase((database) => {
  const { stage, as, client, held, ask, issue, at, see, get, say, submit } = useLinks(database)

  test('whoever has the link reads the call on its page and approves it there, and the record says how', async () => {
    const subject = `one-${database.embedded}`
    const { id, threadId, hold } = await held(subject, true)
    const link = await issue(id, 'ada')
    expect(link.url.startsWith(`${stage.url}/webhooks/approvals/`)).toBe(true)
    expect(link.expires_at).toBe(hold.expires_at)
    const page = await get(at(link))
    expect(page.status).toBe(200)
    for (const words of ['send_email', subject, 'ops@example.com', 'A body.', '<b>ada</b>', hold.args_hash])
      expect(page.text).toContain(words)
    expect(page.text).not.toContain('<script')
    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'self'; .*form-action 'self'; frame-ancestors 'none'$/,
    )

    const done = await submit(at(link), { type: 'approve', args_hash: hold.args_hash, message: '' })
    expect([done.status, done.text]).toEqual([200, expect.stringContaining('Approved. send_email runs.')])
    expect(done.headers.get('cache-control')).toBe('no-store')
    await untilThread(client('otto'), threadId, 'idle')
    expect(await mailsAbout(subject, stage.mails)).toBe(1)
    expect(await see(id)).toMatchObject({ status: 'approved', decisions: [{ type: 'approve', by: 'ada' }] })

    const audit = await as('root', 'GET', `/audit?thread_id=${threadId}`)
    const entries = audit.json<Entry[]>()
    const of = (kind: string) => entries.find((entry) => entry.kind === kind)
    expect(of('hold.link_issued')).toMatchObject({
      actor: 'root',
      data: { for: 'ada', decision: null, link_id: link.link_id, expires_at: link.expires_at },
    })
    expect(of('hold.decided')).toMatchObject({
      actor: 'ada',
      data: { via: 'link', link_id: link.link_id, released_by: ['ada'] },
    })
    const token = at(link).split('/').at(-1) ?? ''
    const metrics = await as('root', 'GET', '/metrics')
    for (const text of [audit.text, metrics.text, ...stage.logLines]) {
      expect(text).not.toContain(token)
      expect(text).not.toContain(token.split('.').at(-1))
    }
  })

  test('who only looks decides nothing, however often: scanners of mail send GET and HEAD', async () => {
    const { id } = await held('looked-at')
    const link = await issue(id, 'ada', { decision: 'approve' })
    for (const method of ['GET', 'HEAD', 'GET', 'HEAD']) {
      const answer = await stage.http(method, at(link), undefined, { 'sec-purpose': 'prefetch' })
      expect(answer.status).toBe(200)
    }
    for (const method of ['PUT', 'PATCH', 'DELETE'])
      expect((await stage.http(method, at(link), { type: 'approve' })).status).toBe(404)
    expect((await stage.http('HEAD', `${at(link)}?type=approve`)).text).toBe('')
    expect(await see(id)).toMatchObject({ status: 'pending', votes: [], decisions: [] })
  })

  test('of many uses at once one counts, and from then on none', async () => {
    const { id } = await held('two-raced')
    const link = await issue(id, 'ada')
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, index) =>
        index % 2 === 0 ? say(at(link), { type: 'approve' }) : submit(at(link), { type: 'approve' }),
      ),
    )
    const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b)
    expect(statuses).toEqual([200, ...Array.from({ length: 11 }, () => 410)])
    expect((await see(id)).votes).toMatchObject([{ by: 'ada' }])
    for (const again of [await say(at(link), { type: 'reject' }), await get(at(link))])
      expect([again.status, again.text]).toEqual([410, expect.stringContaining('This link does not work')])
    expect(await see(id)).toMatchObject({ status: 'pending', votes: [{ by: 'ada' }] })
    // What is taken back needs another link.
    await as('ada', 'DELETE', `/approvals/${id}/votes`)
    expect((await say(at(link), { type: 'approve' })).status).toBe(410)
    expect((await say(at(await issue(id, 'ada')), { type: 'approve' })).status).toBe(200)
  })

  test('a token that is another one in any place, or of another server, is refused as a used one is', async () => {
    const { id, threadId } = await held('altered', true)
    const path = at(await issue(id, 'ada'))
    const token = path.split('/').at(-1) ?? ''
    const [told = '', mac = ''] = token.split('.')
    const other = (letter: string) => (letter === 'A' ? 'B' : 'A')
    // The last letter of a MAC has bits that say nothing: its neighbour stands for the same bytes.
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const neighbour = letters[letters.indexOf(mac.at(-1) ?? '') ^ 1]
    expect(Buffer.from(`${mac.slice(0, -1)}${neighbour}`, 'base64url')).toEqual(Buffer.from(mac, 'base64url'))
    const link = JSON.parse(Buffer.from(told, 'base64url').toString()) as Parameters<typeof writeToken>[1]
    const forged = Buffer.from(JSON.stringify({ ...link, identity: 'ben' })).toString('base64url')
    const wrong = [
      ...Array.from(token, (letter, index) =>
        letter === '.'
          ? `${told}${mac}`
          : `${token.slice(0, index)}${other(letter)}${token.slice(index + 1)}`,
      ),
      `${told}.${mac.slice(0, -1)}${neighbour}`,
      `${token}=`,
      `${token}.`,
      `${told}.`,
      `.${mac}`,
      told,
      `${forged}.${mac}`,
      `${told}.${mac}${mac}`,
      `${told}%2E${mac.slice(1)}`,
      writeToken(linkKey('the secret of another server, 32 or more'), link),
      writeToken(linkKey(''), link),
    ]
    const said = new Set<string>()
    for (const one of wrong) {
      const answer = await say(`/webhooks/approvals/${one}`, { type: 'approve' })
      expect(answer.status, one).toBe(410)
      said.add(answer.text)
    }
    expect(said.size).toBe(1)
    for (const one of [wrong[0], wrong.at(-1)]) {
      const page = await get(`/webhooks/approvals/${one}`)
      expect([page.status, page.text]).toEqual([410, expect.stringContaining([...said][0] ?? '')])
    }
    expect(await see(id)).toMatchObject({ status: 'pending', votes: [] })
    expect((await say(path, { type: 'reject', message: 'No.' })).json()).toMatchObject({
      status: 'rejected',
      decisions: [{ by: 'ada', type: 'reject', message: 'No.' }],
    })
    await untilThread(client('otto'), threadId, 'idle')
  })

  test('links are made by admins, for those who may decide, and not for what the admin asked for', async () => {
    const { id } = await held('named-grace')
    const mine = await held('of-root', false, 'root')
    const refused: [Name, string, object, number, RegExp][] = [
      ['ada', id, { principal: 'ada' }, 403, /needs the role admin/],
      ['vera', id, { principal: 'ada' }, 403, /needs the role admin/],
      ['bot', id, { principal: 'ada' }, 403, /needs the role admin/],
      ['farroot', id, { principal: 'far' }, 404, /does not exist/],
      ['root', id, { principal: 'ada' }, 403, /decided by: grace/],
      ['root', id, { principal: 'otto' }, 403, /self_approval: otto started/],
      ['root', id, { principal: 'vera' }, 403, /role approver/],
      ['root', id, { principal: 'bot' }, 403, /role approver/],
      ['root', id, { principal: 'far' }, 422, /There is no far/],
      ['root', id, { principal: 'nobody' }, 422, /There is no nobody.*holdpoint keys create/],
      ['root', id, { principal: 'ada', expires_in: 86_401 }, 422, /expires_in/],
      ['root', id, { principal: 'ada', decision: 'edit' }, 422, /decision/],
      ['root', newId(), { principal: 'ada' }, 404, /does not exist/],
      ['root', mine.id, { principal: 'ada' }, 403, /self_approval: root started.*Somebody else has to make/],
    ]
    for (const [by, approval, body, status, words] of refused) {
      const answer = await ask(by, approval, body)
      expect([answer.status, answer.text], JSON.stringify([by, body])).toEqual([
        status,
        expect.stringMatching(words),
      ])
    }
    expect((await stage.http('POST', `/approvals/${id}/links`, { principal: 'ada' })).status).toBe(401)
  })

  test('a link to one word says no other, and ends no later than it was asked to', async () => {
    const { id, threadId } = await held('only-reject', true)
    const asked = Date.now()
    const link = await issue(id, 'ada', { decision: 'reject', expires_in: 60 })
    const ends = Date.parse(link.expires_at) - asked
    expect(ends).toBeGreaterThan(50_000)
    expect(ends).toBeLessThan(90_000)
    expect((await get(at(link))).text).not.toContain('value="approve"')
    const other = await say(at(link), { type: 'approve' })
    expect([other.status, other.text]).toEqual([403, 'This link is to reject alone.'])
    expect((await say(at(link), { type: 'edit', args: {} })).status).toBe(422)
    expect(await see(id)).toMatchObject({ status: 'pending', votes: [] })
    expect((await submit(at(link), { type: 'reject', message: 'Not now.' })).text).toContain(
      'Rejected. send_email does not run.',
    )
    await untilThread(client('otto'), threadId, 'idle')
  })

  test('what was edited since the page was shown is not approved by it, and the link still works', async () => {
    const { id, hold } = await held('two-edited')
    const link = await issue(id, 'ben')
    const edited = { to: 'ops@example.com', subject: 'two-better', body: 'B.' }
    expect(
      (await as('ada', 'POST', `/approvals/${id}/decisions`, { type: 'edit', args: edited })).status,
    ).toBe(200)
    const stale = await submit(at(link), { type: 'approve', args_hash: hold.args_hash })
    expect([stale.status, stale.text]).toEqual([409, expect.stringContaining('ada has edited')])
    expect((await see(id)).votes).toEqual([])
    const page = (await get(at(link))).text
    expect(page).toContain('two-better')
    const [, seen = ''] = /name="args_hash" value="([0-9a-f]{64})"/.exec(page) ?? []
    expect(seen).not.toBe(hold.args_hash)
    expect((await submit(at(link), { type: 'approve', args_hash: seen })).status).toBe(200)
    expect((await see(id)).votes).toMatchObject([{ by: 'ben', type: 'approve' }])
  })

  test('an approval that is decided meanwhile says so, and takes no link any more', async () => {
    const { id, threadId } = await held('decided', true)
    const link = await issue(id, 'ada')
    await as('ben', 'POST', `/approvals/${id}/decisions`, { type: 'reject' })
    expect((await get(at(link))).text).toContain('already rejected')
    expect((await say(at(link), { type: 'approve' })).status).toBe(409)
    expect((await ask('root', id, { principal: 'ada' })).status).toBe(409)
    await untilThread(client('otto'), threadId, 'idle')
  })

  test('what a page of another origin sends is refused, and what a mail links to is shown', async () => {
    const { id } = await held('foreign')
    const path = at(await issue(id, 'ada'))
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      { origin: 'https://evil.example' },
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
      { origin: 'null', 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site' },
    ]
    for (const headers of foreign) {
      expect((await say(path, { type: 'approve' }, headers)).status).toBe(403)
      const form = { 'content-type': 'application/x-www-form-urlencoded', ...headers }
      expect((await say(path, 'type=approve', form)).status).toBe(403)
    }
    const plain = await say(path, '{"type":"approve"}', { 'content-type': 'text/plain' })
    expect([plain.status, plain.text]).toEqual([415, 'Send it as application/json.'])
    const mail = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    expect((await get(path, { ...mail, 'sec-fetch-dest': 'document' })).status).toBe(200)
    expect((await get(path, { ...mail, 'sec-fetch-dest': 'iframe' })).status).toBe(403)
    expect(await see(id)).toMatchObject({ status: 'pending', votes: [] })
  })

  test('what a model writes is text on the page, and nothing hides in it', async () => {
    const subject = '<img src=x onerror=alert(1)>'
    const { id } = await held(`${subject}\u202ereversed`)
    const page = (await get(at(await issue(id, 'ada')))).text
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt;')
    expect(page).not.toContain('<img')
    expect(page).not.toContain('\u202e')
    expect(page).toContain('U+202E')
  })
})

describe('somebody who may no longer decide', () => {
  onPostgres((database) => {
    const { held, issue, at, see, get, say } = useLinks(database)

    test.each([
      ['is disabled', 'ada', (people: People) => people.disable('ada', 'the tests'), /^ada is disabled/],
      [
        'has lost the role',
        'ben',
        (people: People) => people.setRoles('ben', ['viewer'], 'the tests'),
        /needs the role approver; ben has viewer/,
      ],
    ] as const)('and %s is refused by the link they have', async (_, name, change, words) => {
      const { id } = await held(`gone-${name}`)
      const link = await issue(id, name)
      expect(await withPeople(database.place, change)).toBe(true)
      const answer: Answer = await say(at(link), { type: 'reject' })
      expect([answer.status, answer.text]).toEqual([403, expect.stringMatching(words)])
      expect((await get(at(link))).status).toBe(403)
      expect(await see(id)).toMatchObject({ status: 'pending', decisions: [] })
    })
  })
})
