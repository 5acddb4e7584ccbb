import { Client } from '@langchain/langgraph-sdk'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { embeddedDirectory } from '../support/each-database.ts'
import { type Keyed, makeKeys } from '../support/keys.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn, mailTo, says } from '../support/stage.ts'
import { chromiumPath, useBrowser } from './browser.ts'

const POLICY = new URL('../support/quorum/policy.json', import.meta.url).pathname
const PEOPLE = {
  otto: { roles: ['operator', 'approver'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
  sam: { roles: ['senior'] },
  vera: { roles: ['viewer'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

describe.skipIf(chromiumPath === null)('the approvals page of a server with keys', () => {
  const openTab = useBrowser()
  let model: ScriptedModel
  let server: TestServer
  let keys: Record<Name, string>

  beforeAll(async () => {
    const dataDir = await embeddedDirectory()
    keys = await makeKeys({ dataDir }, PEOPLE)
    model = await startScriptedModel([])
    server = await startTestServer({ dataDir, modelUrl: model.url, env: { HOLDPOINT_POLICY: POLICY } })
  })
  afterAll(async () => {
    await server?.close()
    await model?.close()
  })

  async function held(subject: string): Promise<Hold> {
    model.play([{ toolCalls: [mailTo(subject)] }, { content: 'Done.' }])
    const client = new Client({ apiUrl: server.url, apiKey: keys.otto })
    const { thread_id: id } = await client.threads.create()
    await client.runs.wait(id, 'react', { input: says('Mail.') })
    const answer = await http('otto', 'GET', `/approvals?thread_id=${id}`)
    const [hold] = answer.json<Hold[]>()
    if (hold === undefined) throw new Error('Nothing is held.')
    return hold
  }
  const http = (name: Name, method: string, path: string, body?: unknown) =>
    httpOn(server.url)(method, path, body, { 'x-api-key': keys[name] })

  async function openAs(name: Name, hold: Hold) {
    const tab = await openTab(`${server.url}/console#/approvals/${hold.approval_id}`)
    await tab.page.getByLabel('Key', { exact: true }).last().fill(keys[name])
    await tab.page.getByRole('button', { name: 'Enter' }).click()
    await tab.page.getByRole('article', { name: 'Approval of send_email' }).waitFor()
    return tab
  }

  test('asks for a key, keeps it in the tab, and forgets what it showed when it is left', async () => {
    const hold = await held('two-door')
    const { page, faults } = await openTab(`${server.url}/console#/approvals/${hold.approval_id}`)
    await page.getByRole('heading', { name: 'This server wants a key' }).waitFor()
    expect(await page.getByText('two-door').count()).toBe(0)
    const field = page.getByRole('textbox', { name: 'Key' })
    await field.fill('hp_wrong')
    await page.getByRole('button', { name: 'Enter' }).click()
    await page.getByText('This is no whole key').waitFor()
    await page.getByRole('textbox', { name: 'Key' }).fill(keys.ada)
    await page.getByRole('button', { name: 'Enter' }).click()
    await page.getByRole('link', { name: /two-door/ }).waitFor()
    await page.getByText('You decide as ada').waitFor()
    await page.reload()
    await page.getByText('You decide as ada').waitFor()
    expect(await page.evaluate('[Object.keys(localStorage).length, document.cookie]')).toEqual([0, ''])
    await page.getByRole('button', { name: 'Leave' }).click()
    await page.getByRole('heading', { name: 'This server wants a key' }).waitFor()
    expect(await page.getByText('two-door').count()).toBe(0)
    expect(faults).toEqual([])
    await http('ada', 'POST', `/approvals/${hold.approval_id}/decisions`, { type: 'reject' })
  })

  test('two people approve, each sees how far it is, and whoever asked is told why they cannot', async () => {
    const hold = await held('two-page')
    const ada = await openAs('ada', hold)
    await ada.page.getByText('0 of 2 approvals').waitFor()
    await ada.page.getByRole('button', { name: 'Approve' }).click()
    await ada.page.getByText('1 of 2 approvals').waitFor()
    await ada.page.getByText(/ada has approved already/).waitFor()
    expect(await ada.page.getByRole('button', { name: 'Approve', exact: true }).count()).toBe(0)
    await ada.page.getByRole('button', { name: 'Take your approval back' }).click()
    await ada.page.getByText('0 of 2 approvals').waitFor()
    await ada.page.getByRole('button', { name: 'Approve', exact: true }).click()

    const otto = await openAs('otto', hold)
    await otto.page.getByText(/otto started this run\. Somebody else has to decide/).waitFor()
    expect(await otto.page.getByRole('button', { name: /Approve|Edit|Reject|Answer/ }).count()).toBe(0)
    const vera = await openAs('vera', hold)
    await vera.page.getByText(/needs the role approver; vera has viewer/).waitFor()

    const ben = await openAs('ben', hold)
    await ben.page
      .getByRole('list', { name: 'Approved so far' })
      .getByText(/ada approved/)
      .waitFor()
    await ben.page.getByRole('button', { name: 'Approve', exact: true }).click()
    await ben.page.getByRole('heading', { name: 'Approved by ada and ben' }).waitFor()
    await ben.page.getByText('done').waitFor()
    for (const { faults } of [ada, otto, vera, ben]) expect(faults).toEqual([])
  })

  test('what people say beside, and with their approval, others read', async () => {
    const hold = await held('two-words')
    const ada = await openAs('ada', hold)
    await ada.page.getByText('Comment', { exact: true }).click()
    const remark = ada.page.getByRole('textbox', { name: 'A comment for the others who decide' })
    await remark.fill('Half a thought')
    const otto = await openAs('otto', hold)
    await otto.page.getByText('Comment', { exact: true }).click()
    await otto.page
      .getByRole('textbox', { name: /A comment/ })
      .fill('The customer asked for it. <b>Really</b>')
    await otto.page.getByRole('button', { name: 'Add the comment' }).click()
    const comments = ada.page.getByRole('list', { name: 'Comments' })
    await comments.getByText('The customer asked for it. <b>Really</b>').waitFor()
    // What others say does not take away what is being written.
    expect(await remark.inputValue()).toBe('Half a thought')
    await ada.page.getByRole('button', { name: 'Add the comment' }).click()
    await comments.getByText('Half a thought').waitFor()
    expect(await remark.inputValue()).toBe('')

    await ada.page.getByRole('button', { name: 'With a comment' }).click()
    await ada.page.getByRole('textbox', { name: /beside your approval/ }).fill('I have called them.')
    await ada.page.getByRole('button', { name: 'Approve with this comment' }).click()
    await otto.page.getByRole('list', { name: 'Approved so far' }).getByText('I have called them.').waitFor()
    await ada.page.getByRole('button', { name: 'Take your approval back' }).click()
    await ada.page.getByText('0 of 2 approvals').waitFor()
    const vera = await openAs('vera', hold)
    await vera.page.getByText('Half a thought').waitFor()
    expect(await vera.page.getByText('Comment', { exact: true }).count()).toBe(0)
    for (const { faults } of [ada, otto, vera]) expect(faults).toEqual([])
    await http('ada', 'POST', `/approvals/${hold.approval_id}/decisions`, { type: 'reject' })
  })

  test('what one edits another sees, and approves as that', async () => {
    const hold = await held('two-edited')
    const ada = await openAs('ada', hold)
    await ada.page.getByRole('button', { name: 'Edit' }).click()
    await ada.page.getByLabel('Subject').fill('Better words')
    await ada.page.getByRole('button', { name: 'Propose these changes' }).click()
    await ada.page.getByText(/ada wrote these arguments/).waitFor()
    const ben = await openAs('ben', hold)
    await ben.page.getByText('ada has edited the arguments').waitFor()
    await ben.page.getByRole('region', { name: 'People' }).getByText('Better words').waitFor()
    await ben.page.getByRole('button', { name: 'Approve', exact: true }).click()
    await ben.page.getByText('1 of 2 approvals').waitFor()
    const sam = await openAs('sam', hold)
    await sam.page.getByRole('button', { name: 'Approve', exact: true }).click()
    await sam.page.getByRole('heading', { name: 'Approved with changes by ben and sam' }).waitFor()
    await sam.page.getByText('done').waitFor()
    for (const { faults } of [ada, ben, sam]) expect(faults).toEqual([])
  })
})
