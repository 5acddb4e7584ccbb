import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { chromiumPath, useBrowser } from './browser.ts'
import { holdMail } from './held-call.ts'

interface OpenApi {
  paths: Record<
    string,
    Record<string, { operationId: string; summary: string; tags: string[]; responses: object }>
  >
}

describe.skipIf(chromiumPath === null)('the reference page', () => {
  const openTab = useBrowser()
  let model: ScriptedModel
  let server: TestServer
  let api: OpenApi

  beforeAll(async () => {
    model = await startScriptedModel([])
    server = await startTestServer({ modelUrl: model.url })
    api = (await (await fetch(`${server.url}/openapi.json`)).json()) as OpenApi
  })

  afterAll(async () => {
    await server?.close()
    await model?.close()
  })

  test('it lists every operation of /openapi.json, by group', async () => {
    const { page, faults } = await openTab(`${server.url}/docs`)
    const operations = operationsOf(api)
    expect(operations.length).toBeGreaterThan(25)
    await page.getByText(`${operations.length} operations`).waitFor()
    const shown = await page.locator('details.operation').evaluateAll((all) =>
      all.map((one) => ({
        id: one.id,
        group: one.closest('section')?.id,
        words: [...(one.querySelector('summary')?.children ?? [])].map((part) => part.textContent),
      })),
    )
    const expected = operations.map(({ method, path, operationId, summary, tags }) => ({
      id: operationId,
      group: tags[0],
      words: [method.toUpperCase(), path, summary],
    }))
    const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1)
    expect(shown.toSorted(byId)).toEqual(expected.toSorted(byId))
    expect(faults).toEqual([])
  })

  test('an operation tells its parameters, its body and every answer', async () => {
    const { page } = await openTab(`${server.url}/docs#post_approvals_approval_id_decisions`)
    const operation = page.locator('#post_approvals_approval_id_decisions')
    await operation.getByText('type: "approve" | "edit" | "reject" | "respond"').waitFor()
    await operation.getByText('message?: string  // at most 20000 characters').waitFor()
    await operation.getByText('a UUID').waitFor()
    expect(await operation.locator('.answers b').allTextContents()).toEqual([
      '200',
      '403',
      '404',
      '409',
      '415',
      '422',
      '429',
    ])
    await operation.getByText('The approval: decided, or pending').click()
    await operation.getByText('resumed_run_id: string | null').waitFor()
  })

  test('the search finds by method, path and words', async () => {
    const { page } = await openTab(`${server.url}/docs`)
    const listed = page.locator('details.operation:visible')
    await page.getByLabel('Search').fill('DELETE thread')
    await expect
      .poll(() => listed.count())
      .toBe(
        operationsOf(api).filter(
          ({ method, path, summary }) => method === 'delete' && /thread/i.test(`${path} ${summary}`),
        ).length,
      )
    await page.getByLabel('Search').fill('decisions')
    await expect.poll(() => listed.count()).toBe(1)
    await page.getByLabel('Search').fill('nothing of this kind')
    await page.getByText(/^0 of/).waitFor()
    expect(await page.getByRole('heading', { level: 2 }).count()).toBe(0)
  })

  test('every example is a command that works', { timeout: 120_000 }, async () => {
    const { page } = await openTab(`${server.url}/docs`, { viewport: { width: 360, height: 740 } })
    await page.getByText(/operations$/).waitFor()
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true)
    const commands = await examplesOf(page)
    expect(commands.length).toBe(operationsOf(api).length)

    // One held run for all of them. What deletes comes last, and a run that is held leaves nothing to wait for.
    const held = await holdMail(
      server,
      model,
      { to: 'ops@example.com', subject: 'Example', body: 'Text.' },
      { afterwards: null },
    )
    const { checkpoint } = await server.client.threads.getState(held.thread_id)
    const cron = await server.client.crons.create('react', { schedule: '0 0 1 1 *' })
    const variables = {
      THREAD_ID: held.thread_id,
      RUN_ID: held.run_id,
      APPROVAL_ID: held.approval_id,
      CHECKPOINT_ID: checkpoint.checkpoint_id ?? '',
      NAMESPACE: 'tools',
      CRON_ID: cron.cron_id,
      TOKEN: 'none',
      SHA256: '0'.repeat(64),
    }
    model.play(Array.from({ length: 8 }, () => ({ content: 'Done.' })))
    const rank = ({ id }: { id: string }) => ORDER.findIndex((pattern) => pattern.test(id))
    const failed: string[] = []
    for (const { id, command, answers } of commands.toSorted((a, b) => rank(a) - rank(b))) {
      const status = await statusOf(command, variables)
      // 409: the request is right, and the thread is elsewhere by then.
      const understood = status.startsWith('2') || status === '409' || status === WITHOUT[id]
      if (!understood || !answers.includes(status)) failed.push(`${id}: ${status}\n${command}`)
    }
    expect(failed).toEqual([])
  })

  /** Every operation, opened: its command, and the answers that it names. */
  async function examplesOf(page: Page): Promise<{ id: string; command: string; answers: string[] }[]> {
    await page.locator('details.operation').evaluateAll((all) => {
      for (const one of all) (one as HTMLDetailsElement).open = true
    })
    await expect.poll(() => page.locator('details.operation .command').count()).toBe(operationsOf(api).length)
    return await page.locator('details.operation').evaluateAll((all) =>
      all.map((one) => ({
        id: one.id,
        command: one.querySelector('.command')?.textContent ?? '',
        answers: [...one.querySelectorAll('.answers b')].map((status) => status.textContent),
      })),
    )
  }
})

/** The decision first, so that the runs which the examples start need not wait behind the hold. */
const ORDER = [
  /_decisions$/,
  /^put_/,
  /^get_.*(ok|info)$/,
  /^(get|post|patch)_/,
  /^delete_.*files/,
  /^delete_.*runs/,
  /^delete_/,
]

function operationsOf({ paths }: OpenApi) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, ...operation })),
  )
}

/** Links are for people who have keys, of whom this server has none, and no state here has anything large. */
const WITHOUT: Record<string, string> = {
  get_threads_thread_id_artifacts_sha256: '404',
  post_approvals_approval_id_links: '422',
  get_webhooks_approvals_token: '410',
  post_webhooks_approvals_token: '410',
}

/** Runs a command as a reader would, in a shell with the ids set. */
async function statusOf(command: string, variables: Record<string, string>): Promise<string> {
  const measured = command.replace(/^curl/, "curl -s -o /dev/null -m 10 -w '%{http_code}'")
  const options = { env: { ...process.env, ...variables } }
  try {
    return (await promisify(execFile)('sh', ['-c', measured], options)).stdout
  } catch (error) {
    // A stream that has no end of its own is cut off after its answer.
    const { stdout = '' } = error as { stdout?: string }
    return stdout
  }
}
