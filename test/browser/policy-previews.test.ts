import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { usePolicyFile } from '../support/policy-file.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { holdsOn, httpOn, untilThread } from '../support/stage.ts'
import { chromiumPath, useBrowser } from './browser.ts'
import { patientClient } from './held-call.ts'

const PATH = 'notes/plan.txt'
const BAD = '<img src=x onerror="window.hacked=1">\u202e'

describe.skipIf(chromiumPath === null)('the page shows what a call would do', () => {
  const openTab = useBrowser()
  const policy = usePolicyFile()
  let model: ScriptedModel
  let server: TestServer
  beforeAll(async () => {
    model = await startScriptedModel([])
    const rules = [{ name: 'files', when: { tool: 'write_file' }, then: 'hold' }]
    await writeFile(policy.file, JSON.stringify({ rules }))
    server = await startTestServer({ modelUrl: model.url, env: policy.env })
  })
  afterAll(async () => {
    await server?.close()
    await model?.close()
  })

  test('a difference line by line, its arguments beneath it, and no Edit where it is asked for again', async () => {
    const threadId = (await server.client.threads.create()).thread_id
    await put(threadId, 'one\ntwo\nthree\n')
    const content = `one\n${BAD}\nthree\n`
    model.play([
      { toolCalls: [{ name: 'write_file', args: { path: PATH, content } }] },
      { content: 'Written.' },
    ])
    const input = { messages: [{ role: 'user', content: 'Write.' }] }
    await patientClient(server).runs.wait(threadId, 'react', { input })
    const [hold] = await holdsOn(server.url, threadId, 'pending')
    const { page, faults } = await openTab(link(hold))
    const shown = page.getByRole('region', { name: 'What it changes' })
    expect(await shown.locator('p').textContent()).toBe(`Changes ${PATH}`)
    expect(await shown.locator('.removed').allTextContents()).toEqual(['-two\n'])
    expect(await shown.locator('.added').allTextContents()).toEqual([`+${BAD.replace('\u202e', 'U+202E')}\n`])
    await page.getByText('The arguments of the call').click()
    await page.locator('.shown details .json').getByText('"content"').waitFor()
    await page.getByRole('button', { name: 'Edit' }).waitFor()

    await put(threadId, 'one\nzwei\nthree\n')
    await page.getByRole('button', { name: 'Approve' }).click()
    await untilThread(server.client, threadId, 'interrupted')
    const [again] = await holdsOn(server.url, threadId, 'pending')
    const { page: second, faults: others } = await openTab(link(again))
    expect(await second.locator('.diff .removed').allTextContents()).toEqual(['-zwei\n'])
    await second.getByText('what it would do has changed since').waitFor()
    await second.getByText(hold?.approval_id ?? '').waitFor()
    expect(await second.getByRole('button', { name: 'Edit' }).count()).toBe(0)
    await second.getByRole('button', { name: 'Approve' }).click()
    await untilThread(server.client, threadId, 'idle')
    expect(await second.evaluate(() => 'hacked' in window)).toBe(false)
    expect([...faults, ...others]).toEqual([])
  })

  const link = (hold: Hold | undefined) => `${server.url}/console#/approvals/${hold?.approval_id}`

  async function put(threadId: string, body: string): Promise<void> {
    const answer = await httpOn(server.url)('PUT', `/threads/${threadId}/files/${PATH}`, body)
    expect(answer.status).toBe(200)
  }
})
