import { Client } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { embeddedDirectory } from '../support/each-database.ts'
import { type Keyed, makeKeys } from '../support/keys.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn, mailTo, says, untilThread } from '../support/stage.ts'
import { chromiumPath, useBrowser } from './browser.ts'
import { startSite } from './site.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  root: { roles: ['admin'] },
} satisfies Record<string, Keyed>

describe.skipIf(chromiumPath === null)('the page of a decision link', () => {
  const openTab = useBrowser()
  let model: ScriptedModel
  let server: TestServer
  let keys: Record<keyof typeof PEOPLE, string>
  let client: Client

  beforeAll(async () => {
    const dataDir = await embeddedDirectory()
    keys = await makeKeys({ dataDir }, PEOPLE)
    model = await startScriptedModel([])
    server = await startTestServer({ dataDir, modelUrl: model.url })
    client = new Client({ apiUrl: server.url, apiKey: keys.otto })
  })
  afterAll(async () => {
    await server?.close()
    await model?.close()
  })

  const see = async (path: string) =>
    await httpOn(server.url)('GET', path, undefined, { 'x-api-key': keys.root })
  async function linked(subject: string) {
    model.play([{ toolCalls: [mailTo(subject)] }, { content: 'Done.' }])
    const { thread_id: threadId } = await client.threads.create()
    await client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const [hold] = (await see(`/approvals?thread_id=${threadId}`)).json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    const path = `/approvals/${hold.approval_id}`
    const answer = await httpOn(server.url)(
      'POST',
      `${path}/links`,
      { principal: 'ada' },
      { 'x-api-key': keys.root },
    )
    return { path, threadId, url: answer.json<{ url: string }>().url }
  }

  test.each([
    ['Approve', 'approved', 'Approved. send_email runs.'],
    ['Reject', 'rejected', 'Rejected. send_email does not run.'],
  ])('opened from a mail on the web, without scripts, it takes: %s', async (button, status, words) => {
    const { url, path, threadId } = await linked(`By a link: ${button}`)
    const mail = await startSite(`<!doctype html><title>Mail</title><a href="${url}">Decide</a>`)
    try {
      const { page, faults } = await openTab(mail.url, { javaScriptEnabled: false })
      await page.getByRole('link', { name: 'Decide' }).click()
      await page.getByText(`By a link: ${button}`).first().waitFor()
      expect((await see(path)).json()).toMatchObject({ status: 'pending' })
      const referers: (string | undefined)[] = []
      page.on('request', (request) => referers.push(request.headers()['referer']))
      await page.getByRole('textbox').fill('My words.')
      await page.getByRole('button', { name: button }).click()
      await page.getByText(words).waitFor()
      expect(referers.length).toBeGreaterThan(0)
      expect(referers.filter(Boolean)).toEqual([])
      expect((await see(path)).json()).toMatchObject({
        status,
        decisions: [{ by: 'ada', message: 'My words.' }],
      })
      await page.goto(url)
      await page.getByText('This link does not work').waitFor()
      expect(faults).toEqual([])
      await untilThread(client, threadId, 'idle')
    } finally {
      await mail.close()
    }
  })

  test('a page of another origin that knows the address cannot send its form, nor put it into a frame', async () => {
    const { url, path, threadId } = await linked('By a stranger')
    const site = await startSite(
      `<!doctype html><title>Theirs</title><iframe src="${url}"></iframe>
      <form method="post" action="${url}"><button name="type" value="approve">Win</button></form>`,
    )
    try {
      const { page } = await openTab(site.url)
      await page.getByRole('button', { name: 'Win' }).click()
      await page.getByText('Origin not allowed').waitFor()
      expect((await see(path)).json()).toMatchObject({ status: 'pending', decisions: [] })
      await page.goto(url)
      await page.getByRole('button', { name: 'Reject' }).click()
      await page.getByText('does not run').waitFor()
      await untilThread(client, threadId, 'idle')
    } finally {
      await site.close()
    }
  })
})
