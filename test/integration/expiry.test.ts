import { Client } from '@langchain/langgraph-sdk'
import { afterEach, expect, test, vi } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { type Keyed, makeKeys } from '../support/keys.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn, mailTo, says, untilThread } from '../support/stage.ts'

// A sweeper looks every 20 seconds, and a server starts between.
vi.setConfig({ testTimeout: 180_000 })

const POLICY = new URL('../support/quorum/policy.json', import.meta.url).pathname
const PEOPLE = {
  otto: { roles: ['operator'] },
  grace: { roles: ['approver'] },
  sam: { roles: ['senior'] },
} satisfies Record<string, Keyed>

const HOUR_MS = 3_600_000
/** A minute past its time, and what a loaded machine takes to answer. */
const LATEST = { timeout: 65_000, interval: 250 }

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

onEachDatabase((database) => {
  test('what nobody decides is handed on and ended by whichever server there is by then, within a minute of its time', async () => {
    const keys = await makeKeys(database.place, PEOPLE)
    const model = await startScriptedModel([
      { toolCalls: [mailTo('late')] },
      { content: 'Nobody was there.' },
    ])
    closers.push(() => model.close())
    let ahead = 0
    const start = () => serverAt(model, () => new Date(Date.now() + ahead))
    const see = async ({ url }: TestServer, id: string) =>
      (await httpOn(url)('GET', `/approvals/${id}`, undefined, { 'x-api-key': keys.grace })).json<Hold>()

    const first = await start()
    const client = new Client({ apiUrl: first.url, apiKey: keys.otto })
    const { thread_id: threadId } = await client.threads.create()
    await client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const holds = `/approvals?thread_id=${threadId}`
    const asked = await httpOn(first.url)('GET', holds, undefined, { 'x-api-key': keys.grace })
    const [{ approval_id: id } = { approval_id: '' }] = asked.json<Hold[]>()
    expect(asked.json()).toMatchObject([{ status: 'pending', needs: { who: ['grace'] }, escalated_at: null }])
    await first.close()

    ahead = HOUR_MS + 1_000
    const second = await start()
    await expect.poll(async () => (await see(second, id)).escalated_at, LATEST).not.toBeNull()
    const handedOn = await see(second, id)
    expect(handedOn).toMatchObject({ status: 'pending', needs: { who: ['senior'] } })
    expect(Date.parse(handedOn.expires_at ?? '') - Date.parse(handedOn.escalated_at ?? '')).toBe(2 * HOUR_MS)
    await second.close()

    ahead = 3 * HOUR_MS + 120_000
    const third = await start()
    await expect.poll(async () => (await see(third, id)).status, LATEST).toBe('expired')
    await untilThread(new Client({ apiUrl: third.url, apiKey: keys.otto }), threadId, 'idle')
    expect(JSON.stringify(model.requests.at(-1)?.messages.at(-1))).toContain('The approval expired.')
  })

  async function serverAt(model: ScriptedModel, now: () => Date): Promise<TestServer> {
    const env = { HOLDPOINT_POLICY: POLICY }
    const server = await startTestServer({ ...database.place, modelUrl: model.url, now, env })
    let open = true
    const close = async () => {
      if (open) await server.close()
      open = false
    }
    closers.push(close)
    return { ...server, close }
  }
})
