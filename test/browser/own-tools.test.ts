import { Client } from '@langchain/langgraph-sdk'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { embeddedDirectory } from '../support/each-database.ts'
import { release, words } from '../support/edits/graph.ts'
import { forget, times } from '../support/grants/journal.ts'
import { type Keyed, makeKeys } from '../support/keys.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { httpOn, says, untilThread } from '../support/stage.ts'
import { chromiumPath, useBrowser } from './browser.ts'

const PEOPLE = {
  otto: { roles: ['operator'] },
  ada: { roles: ['approver'] },
  ben: { roles: ['approver'] },
} satisfies Record<string, Keyed>
type Name = keyof typeof PEOPLE

describe.skipIf(chromiumPath === null)('the arguments of a project’s own tool', () => {
  const openTab = useBrowser()
  let model: ScriptedModel
  let server: TestServer
  let keys: Record<Name, string>

  beforeAll(async () => {
    release.version = '1'
    const dataDir = await embeddedDirectory()
    keys = await makeKeys({ dataDir }, PEOPLE)
    model = await startScriptedModel([])
    const env = { HOLDPOINT_CONFIG: 'test/support/edits/langgraph.json' }
    server = await startTestServer({ dataDir, modelUrl: model.url, env })
  })
  afterAll(async () => {
    await server?.close()
    await model?.close()
    forget()
  })

  test('are edited on the page by one person, and released by another, who sees what they would do', async () => {
    const client = new Client({ apiUrl: server.url, apiKey: keys.otto })
    model.play([
      { toolCalls: [{ name: 'refund', args: { order: 'A-1', cents: 500 } }] },
      { content: 'Refunded.' },
    ])
    const { thread_id: threadId } = await client.threads.create()
    await client.runs.wait(threadId, 'clerk', { input: says('Refund.') })
    const key = { 'x-api-key': keys.otto }
    const answer = await httpOn(server.url)('GET', `/approvals?thread_id=${threadId}`, undefined, key)
    const [hold] = answer.json<Hold[]>()

    const ada = await openAs('ada', hold)
    await ada.page.getByRole('button', { name: 'Edit' }).click()
    await ada.page.getByText('What refund takes').click()
    await ada.page.getByText('cents: integer').waitFor()
    const form = ada.page.getByRole('form', { name: 'Edit' })
    const write = async (args: object) => {
      await form.getByLabel('Arguments, as JSON').fill(JSON.stringify(args, null, 2))
      await form.getByRole('button', { name: 'Propose these changes' }).click()
    }
    await write({ order: 'A-2', cents: 251, note: 'half' })
    await form.getByRole('alert').getByText('cents: must be in steps of 5').waitFor()
    const args = { order: 'A-2', cents: 250, note: 'half' }
    await write(args)
    await ada.page.getByText(words(args)).waitFor()

    const ben = await openAs('ben', hold)
    await ben.page.getByText(words(args)).waitFor()
    await ben.page.getByRole('button', { name: 'Approve', exact: true }).click()
    await untilThread(client, threadId, 'idle')
    expect(times(words(args))).toBe(1)
    expect([...ada.faults, ...ben.faults]).toEqual([])
  })

  async function openAs(name: Name, hold: Hold | undefined): Promise<{ page: Page; faults: string[] }> {
    const tab = await openTab(`${server.url}/console#/approvals/${hold?.approval_id}`)
    await tab.page.getByLabel('Key', { exact: true }).last().fill(keys[name])
    await tab.page.getByRole('button', { name: 'Enter' }).click()
    await tab.page.getByRole('article', { name: 'Approval of refund' }).waitFor()
    return tab
  }
})
