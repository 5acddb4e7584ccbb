import { Client } from '@langchain/langgraph-sdk'
import { Webhook } from 'standardwebhooks'
import { beforeAll, expect, test } from 'vitest'
import type { Hold } from '../../../runtime/hold.ts'
import { newId } from '../../../runtime/ids.ts'
import type { NewEndpoint } from '../../../runtime/webhook.ts'
import { newWebhookSecret, sealSecret, webhookKeys } from '../../../runtime/webhook-secret.ts'
import { openStorage } from '../../../storage/open.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Keyed, useKeyedStage } from '../../support/keys.ts'
import { mailsAbout, mailTo, says, untilThread } from '../../support/stage.ts'
import { secretAt } from '../../support/storage.ts'

const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
  root: { roles: ['admin'] },
} satisfies Record<string, Keyed>

interface Link {
  url: string
  link_id: string
  endpoint_id: string | null
}

/** An endpoint that is told nothing here: it signs what it says to us. */
function endpoint(more: Partial<NewEndpoint> = {}): NewEndpoint {
  const url = 'https://chat.example/holdpoint'
  const id = newId()
  return {
    endpoint_id: id,
    url,
    description: '',
    events: ['approval.escalated'],
    tools: [],
    thread_metadata: {},
    tenant: null,
    ...more,
  }
}

onEachDatabase((database) => {
  const [bot, other, theirs, off] = [endpoint(), endpoint(), endpoint({ tenant: 'elsewhere' }), endpoint()]
  const secrets = { now: newWebhookSecret(), before: newWebhookSecret(), other: newWebhookSecret() }
  beforeAll(async () => {
    const { place } = database
    const storage = await openStorage({
      databaseUrl: undefined,
      ...place,
      poolSize: 1,
      connectTimeoutMs: 3_000,
    })
    const keys = webhookKeys(await secretAt(place))
    const sealed = ({ endpoint_id: id }: NewEndpoint, secret: string) => sealSecret(keys, id, secret)
    await storage.webhookEndpoints.create(bot, sealed(bot, secrets.before))
    await storage.webhookEndpoints.rotate(bot.endpoint_id, sealed(bot, secrets.now), 3_600)
    for (const one of [other, theirs, off])
      await storage.webhookEndpoints.create(one, sealed(one, secrets.other))
    await storage.webhookEndpoints.disable(off.endpoint_id, 'Disabled by hand.')
    await storage.close()
  })
  const { stage, keyOf, as } = useKeyedStage(database, PEOPLE, { HOLDPOINT_WRONG_KEYS: '0' })
  const otto = () =>
    new Client({ apiUrl: stage.url, apiKey: keyOf('otto'), callerOptions: { maxRetries: 0 } })

  async function held(subject: string, goesOn = false) {
    stage.play({ toolCalls: [mailTo(subject)] }, ...(goesOn ? [{ content: 'Done.' }] : []))
    const { thread_id: threadId } = await otto().threads.create()
    await otto().runs.wait(threadId, 'react', { input: says('Mail.') })
    await untilThread(otto(), threadId, 'interrupted')
    const [hold] = (await as('root', 'GET', `/approvals?thread_id=${threadId}`)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return hold
  }
  const ask = (hold: Hold, id: string) =>
    as('root', 'POST', `/approvals/${hold.approval_id}/links`, { principal: 'ada', endpoint: id })
  const issue = async (hold: Hold) => (await ask(hold, bot.endpoint_id)).json<Link>()
  const statusOf = async ({ approval_id: id }: Hold) =>
    (await as('root', 'GET', `/approvals/${id}`)).json<Hold>().status
  const APPROVE = JSON.stringify({ type: 'approve' })

  /** As a program with that secret signs. */
  const signed = (secret: string, body: string, { id = newId(), at = new Date() } = {}) => ({
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  })
  const call = (link: Link, body: string, headers: Record<string, string>) =>
    stage.http('POST', new URL(link.url).pathname, body, headers)

  test.each(['now', 'before'] as const)(
    'what an endpoint signs with its secret (%s) is the word of the link’s principal, once',
    async (which) => {
      const subject = `signed-${which}-${database.embedded}`
      const hold = await held(subject, true)
      const link = await issue(hold)
      expect(link.endpoint_id).toBe(bot.endpoint_id)
      const headers = signed(secrets[which], APPROVE)
      const first = await call(link, APPROVE, headers)
      expect([first.status, first.json()]).toMatchObject([200, { status: 'approved' }])
      expect(first.json<Hold>().decisions).toMatchObject([{ type: 'approve', by: 'ada' }])
      await untilThread(otto(), hold.thread_id, 'idle')
      for (const again of [headers, signed(secrets.now, APPROVE)])
        expect((await call(link, APPROVE, again)).status).toBe(410)
      expect(await mailsAbout(subject, stage.mails)).toBe(1)
      const entries = (await as('root', 'GET', `/audit?thread_id=${hold.thread_id}`)).json<
        { kind: string; data: object }[]
      >()
      expect(entries.find(({ kind }) => kind === 'hold.link_issued')?.data).toMatchObject({
        endpoint_id: bot.endpoint_id,
        link_id: link.link_id,
      })
    },
  )

  test('what was signed for one link says nothing on another, also where it was refused there', async () => {
    const [first, second] = [await held('one-of-two'), await held('two-of-two')]
    const [one, two] = [await issue(first), await issue(second)]
    const refused = JSON.stringify({ type: 'reject', args_hash: '0'.repeat(64) })
    const stale = JSON.stringify({ type: 'approve', args_hash: '0'.repeat(64) })
    const [spoken, kept] = [signed(secrets.now, refused), signed(secrets.now, stale)]
    expect((await call(one, stale, kept)).status).toBe(409)
    expect((await call(two, stale, kept)).status).toBe(401)
    // Its sender, who heard no answer, may ask again.
    expect((await call(one, stale, kept)).status).toBe(409)
    stage.model.play([{ content: 'Then not.' }])
    expect((await call(one, refused, spoken)).status).toBe(200)
    await untilThread(otto(), first.thread_id, 'idle')
    expect((await call(two, refused, spoken)).status).toBe(401)
    expect(await statusOf(second)).toBe('pending')
  })

  test('what is not signed, altered, too old, too new, or signed by another is refused, and the link still works', async () => {
    const hold = await held('unsigned')
    const link = await issue(hold)
    const at = (seconds: number) => ({ at: new Date(Date.now() + seconds * 1_000) })
    const good = signed(secrets.now, APPROVE)
    const wrong: Record<string, string>[] = [
      {},
      signed(secrets.other, APPROVE),
      signed(secrets.now, JSON.stringify({ type: 'reject' })),
      signed(secrets.now, `${APPROVE} `),
      signed(secrets.now, APPROVE, at(-301)),
      signed(secrets.now, APPROVE, at(302)),
      { ...good, 'webhook-id': newId() },
      { ...good, 'webhook-timestamp': String(Number(good['webhook-timestamp']) - 1) },
      { ...good, 'webhook-timestamp': 'now' },
      { ...good, 'webhook-timestamp': '' },
      { ...good, 'webhook-signature': good['webhook-signature'].replace('v1,', 'v2,') },
      { ...good, 'webhook-signature': 'v1,' },
      { ...good, 'webhook-signature': '' },
      { ...good, 'webhook-id': '' },
    ]
    for (const headers of wrong) expect((await call(link, APPROVE, headers)).status).toBe(401)
    const form = { 'content-type': 'application/x-www-form-urlencoded', origin: 'null' }
    expect((await call(link, 'type=approve', { ...form, 'sec-fetch-site': 'same-origin' })).status).toBe(401)
    expect((await stage.http('GET', new URL(link.url).pathname)).status).toBe(403)
    expect(await statusOf(hold)).toBe('pending')
    const several = { ...good, 'webhook-signature': `v1a,x ${good['webhook-signature']}` }
    stage.model.play([{ content: 'Done.' }])
    expect((await call(link, APPROVE, several)).status).toBe(200)
    await untilThread(otto(), hold.thread_id, 'idle')
  })

  test('of many signed calls at once one counts', async () => {
    const hold = await held('raced', true)
    const link = await issue(hold)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call(link, APPROVE, signed(secrets.now, APPROVE))),
    )
    const counts = Object.fromEntries(
      [...Map.groupBy(answers, ({ status }) => status)].map(([status, list]) => [status, list.length]),
    )
    expect(counts).toEqual({ 200: 1, 410: 19 })
    await untilThread(otto(), hold.thread_id, 'idle')
  })

  test('an endpoint that is another tenant’s, disabled or not there signs nothing', async () => {
    const hold = await held('no endpoint')
    for (const id of [theirs.endpoint_id, off.endpoint_id, newId()])
      expect((await ask(hold, id)).status).toBe(422)
    expect(await statusOf(hold)).toBe('pending')
  })
})
