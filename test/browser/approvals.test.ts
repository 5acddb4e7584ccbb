import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Json } from '../../runtime/json.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { chromiumPath, useBrowser } from './browser.ts'
import { approvalNow, type HeldCall, holdCalls, holdMail } from './held-call.ts'

const PHONE = { viewport: { width: 360, height: 740 } }

describe.skipIf(chromiumPath === null)('the approvals page', () => {
  const openTab = useBrowser()
  let model: ScriptedModel
  let server: TestServer

  beforeAll(async () => {
    model = await startScriptedModel([])
    server = await startTestServer({ modelUrl: model.url })
  })

  afterAll(async () => {
    await server?.close()
    await model?.close()
  })

  const open = (call?: HeldCall, options = {}) =>
    openTab(`${server.url}/console${call ? `#/approvals/${call.approval_id}` : ''}`, options)

  test('where nothing waits it says how to get something', async () => {
    const { page, faults } = await open()
    await page.getByText('Nothing waits for you.').waitFor()
    await page.getByText('npm run demo').waitFor()
    expect(await page.title()).toBe('Approvals · Holdpoint')
    expect(faults).toEqual([])
  })

  test('a waiting mail is there by itself, with everything that would be sent and whose it is', async () => {
    const { page, faults } = await open()
    await page.getByText('Nothing waits for you.').waitFor()
    const mail = {
      to: ['ops@example.com', 'lea@example.com'],
      cc: 'finance@example.com',
      subject: 'Totals of May',
      body: 'Ada   12.50\nBob    3.00\n',
    }
    const call = await holdMail(server, model, mail)

    await page.getByRole('link', { name: /send_email.*Totals of May/ }).waitFor()
    expect(await page.title()).toBe('(1) Approvals · Holdpoint')
    const shown = page.getByRole('article', { name: 'The mail' })
    expect(await shown.getByRole('definition').allTextContents()).toEqual([
      'Holdpoint <agent@holdpoint.local>',
      'ops@example.com, lea@example.com',
      'finance@example.com',
      'Totals of May',
    ])
    expect(await shown.locator('pre').textContent()).toBe(mail.body)
    const details = page.getByRole('article', { name: 'Approval of send_email' })
    for (const text of [
      call.thread_id,
      call.run_id,
      call.approval_id,
      'medium risk',
      'react',
      /expires in 3 h/,
      'one approval, by: approver',
      /then it counts as rejected/,
      /decide as local/,
    ]) {
      await details.getByText(text).first().waitFor()
    }
    expect(page.url()).toContain(`#/approvals/${call.approval_id}`)
    expect(faults).toEqual([])
    await decide(page, 'Reject')
  })

  test('Approve sends the mail once, as it was shown, and names the run that goes on', async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'Approve me', body: 'One.' })
    const { page, faults } = await open(call)
    await page.getByRole('button', { name: 'Approve' }).dblclick()

    const outcome = page.getByRole('region', { name: 'Outcome' })
    await outcome.getByRole('heading', { name: 'Approved by local' }).waitFor()
    await outcome.getByText('done').waitFor()
    const { status, resumed_run_id } = await approvalNow(server, call)
    expect(status).toBe('approved')
    expect(await outcome.getByRole('link').textContent()).toBe(resumed_run_id)
    const mails = await mailsWith('Approve me')
    expect(mails).toHaveLength(1)
    expect(mails[0]).toMatch(/^To: ops@example.com\r?$/m)
    expect(mails[0]).toMatch(/\r?\n\r?\nOne\.\s*$/)
    await page.getByText('Nothing waits for you.').waitFor()
    expect(faults).toEqual([])
  })

  test('Edit sends what was written instead, and leaves alone what was not touched', async () => {
    const body = 'A line\r\nand another'
    const call = await holdMail(server, model, {
      to: 'ops@example.com',
      cc: 'lea@example.com',
      subject: 'Edit me',
      body,
    })
    const { page } = await open(call)
    await page.getByRole('button', { name: 'Edit' }).click()
    expect(await page.getByLabel('To').evaluate((input) => input === document.activeElement)).toBe(true)
    await page.getByRole('button', { name: 'Approve with these changes' }).click()
    await page.getByText('Nothing is changed yet.').waitFor()
    await page.getByLabel('To').fill('cfo@example.com, ceo@example.com')
    await page.getByLabel('Cc').fill('')
    await page.getByLabel('Subject').fill('Edited by a person')
    await page.getByRole('button', { name: 'Approve with these changes' }).click()

    const outcome = page.getByRole('region', { name: 'Outcome' })
    await outcome.getByRole('heading', { name: 'Approved with changes' }).waitFor()
    expect(await outcome.getByRole('definition').allTextContents()).toEqual([
      'cfo@example.com, ceo@example.com',
      'Edited by a person',
    ])
    await outcome.getByText('done').waitFor()
    expect((await approvalNow(server, call)).decisions).toMatchObject([
      {
        type: 'edit',
        args: { to: ['cfo@example.com', 'ceo@example.com'], subject: 'Edited by a person', body },
      },
    ])
    const mails = await mailsWith('Edited by a person')
    expect(mails).toHaveLength(1)
    expect(mails[0]).toMatch(/^To: cfo@example.com, ceo@example.com\r?$/m)
    expect(mails[0]).not.toMatch(/^Cc:/m)
    expect(await mailsWith('Edit me')).toEqual([])
  })

  test("an edit that the tool refuses shows the server's words and keeps what was typed", async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'Refuse me', body: 'Text.' })
    const { page, faults } = await open(call)
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('To').fill('nobody in particular')
    await page.getByLabel('Body').fill('A text that took an hour.')
    await page.getByRole('button', { name: 'Approve with these changes' }).click()

    await page.getByRole('alert').filter({ hasText: 'to: Invalid' }).waitFor()
    expect(await page.getByLabel('To').inputValue()).toBe('nobody in particular')
    await page.getByRole('button', { name: 'Back' }).click()
    await page.getByRole('button', { name: 'Edit' }).click()
    expect(await page.getByLabel('Body').inputValue()).toBe('A text that took an hour.')
    expect((await approvalNow(server, call)).status).toBe('pending')

    await page.getByLabel('To').fill('somebody@example.com')
    await page.getByRole('button', { name: 'Approve with these changes' }).click()
    await page.getByRole('region', { name: 'Outcome' }).getByText('done').waitFor()
    expect(await mailsWith('A text that took an hour.')).toHaveLength(1)
    expect(faults).toEqual([])
  })

  test('Reject tells the agent why, and no mail leaves', async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'Reject me', body: 'Text.' })
    const { page } = await open(call)
    await decide(page, 'Reject', 'These <numbers> are of last year.')

    const outcome = page.getByRole('region', { name: 'Outcome' })
    await outcome.getByRole('heading', { name: 'Rejected by local' }).waitFor()
    await outcome.getByText('These <numbers> are of last year.').waitFor()
    await outcome.getByText('done').waitFor()
    expect(JSON.stringify(model.requests.at(-1)?.messages)).toContain('These <numbers> are of last year.')
    expect(await mailsWith('Reject me')).toEqual([])
  })

  test('an answer instead of the call reaches the agent, and the call does not run', async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'Answer me', body: 'Text.' })
    const { page } = await open(call)
    await page.getByRole('button', { name: 'Answer instead' }).click()
    await page.getByRole('textbox').fill('I told them on the phone.')
    await page.getByRole('button', { name: 'Send this answer' }).click()

    await page.getByRole('region', { name: 'Outcome' }).getByText('done').waitFor()
    expect(JSON.stringify(model.requests.at(-1)?.messages)).toContain('I told them on the phone.')
    expect(await mailsWith('Answer me')).toEqual([])
  })

  test('a call of another tool is shown and edited as its arguments', async () => {
    const args = { url: 'https://hooks.example.com/a', method: 'POST', body: '{"total": 3}' }
    const [call] = await holdCalls(server, model, [{ name: 'http_fetch', args }])
    const { page } = await open(call)
    expect(JSON.parse((await page.locator('pre.json').textContent()) ?? '')).toMatchObject(args)
    await page.getByRole('button', { name: 'Edit' }).click()
    const json = page.getByLabel('Arguments, as JSON')
    await json.fill('{"url": ')
    await page.getByRole('button', { name: 'Approve with these changes' }).click()
    await page.getByText(/This is not JSON/).waitFor()
    await json.fill(JSON.stringify({ ...args, method: 'PUT' }))
    await page.getByRole('button', { name: 'Approve with these changes' }).click()
    await page.getByRole('region', { name: 'Outcome' }).getByText('done').waitFor()
    expect((await approvalNow(server, call as HeldCall)).decisions).toMatchObject([
      { type: 'edit', args: { method: 'PUT' } },
    ])
  })

  test('the calls of one message are decided one by one, and the page says what is still missing', async () => {
    const mail = (subject: string) => ({
      name: 'send_email',
      args: { to: 'ops@example.com', subject, body: 'Text.' },
    })
    const [call] = await holdCalls(server, model, [mail('First of two'), mail('Second of two')])
    const { page } = await open(call)
    await page.getByRole('button', { name: 'Approve' }).click()
    const outcome = page.getByRole('region', { name: 'Outcome' })
    await outcome.getByText('The agent goes on when these are decided too:').waitFor()
    expect([...(await mailsWith('First of two')), ...(await mailsWith('Second of two'))]).toEqual([])

    await outcome.getByRole('link', { name: /of two/ }).click()
    await page.getByRole('button', { name: 'Approve' }).click()
    await outcome.getByText('done').waitFor()
    expect(await mailsWith('First of two')).toHaveLength(1)
    expect(await mailsWith('Second of two')).toHaveLength(1)
  })

  test('of two people who decide the same call one is told that it was decided, and keeps what was typed', async () => {
    const call = await holdMail(server, model, {
      to: 'ops@example.com',
      subject: 'Two at once',
      body: 'Text.',
    })
    const [one, other] = await Promise.all([open(call), open(call)])
    await other.page.getByRole('button', { name: 'Reject' }).click()
    await other.page.getByRole('textbox').fill('Not today.')
    // Its list must not bring the news before the decision does.
    await other.page.route('**/approvals?*', (route) => route.abort())
    await one.page.getByRole('button', { name: 'Approve' }).click()
    await one.page.getByRole('heading', { name: 'Approved by local' }).waitFor()
    await other.page.unroute('**/approvals?*')
    await other.page.getByRole('button', { name: 'Reject' }).click()

    await other.page
      .getByRole('alert')
      .filter({ hasText: /decided (meanwhile|while)/ })
      .waitFor()
    await other.page.getByRole('heading', { name: 'Approved by local' }).waitFor()
    expect(await other.page.getByRole('textbox').inputValue()).toBe('Not today.')
    expect(await other.page.getByRole('textbox').getAttribute('readonly')).toBe('')
    await one.page.getByText('done').waitFor()
    expect(await mailsWith('Two at once')).toHaveLength(1)
    expect([...one.faults, ...other.faults]).toEqual([])
  })

  test('two clicks at the very same time: one decision, one refusal, one mail', async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'A race', body: 'Text.' })
    const tabs = await Promise.all([open(call), open(call)])
    await Promise.all(tabs.map(({ page }) => page.getByRole('button', { name: 'Approve' }).waitFor()))
    const answers = tabs.map(({ page }) => page.waitForResponse(/\/decisions$/))
    await Promise.all(tabs.map(({ page }) => page.getByRole('button', { name: 'Approve' }).click()))

    expect(new Set((await Promise.all(answers)).map((answer) => answer.status()))).toEqual(
      new Set([200, 409]),
    )
    for (const { page } of tabs) await page.getByText('done').waitFor()
    expect(
      await Promise.all(
        tabs.map(({ page }) => page.getByRole('alert').filter({ hasText: 'meanwhile' }).count()),
      ),
    ).toContain(1)
    expect(await mailsWith('A race')).toHaveLength(1)
  })

  test('news does not disturb what is being typed', async () => {
    const first = await holdMail(
      server,
      model,
      { to: 'ops@example.com', subject: 'Being edited', body: 'Text.' },
      { afterwards: null },
    )
    const { page } = await open(first)
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByLabel('Body').fill('Half a sen')
    const second = await holdMail(
      server,
      model,
      { to: 'ops@example.com', subject: 'Newer', body: 'Text.' },
      { afterwards: null },
    )
    await page.getByRole('link', { name: /Newer/ }).waitFor()
    await page.getByRole('status').filter({ hasText: 'New: send_email, Newer' }).waitFor()
    await page.keyboard.type('tence.')
    expect(await page.getByLabel('Body').inputValue()).toBe('Half a sentence.')
    expect(page.url()).toContain(first.approval_id)
    model.play([{ content: 'Done.' }, { content: 'Done.' }])
    await rejectAll(first, second)
  })

  test('what a model writes is shown as text, and what hides in it is shown', async () => {
    const hostile = {
      to: 'ops@example.com',
      subject: '<img src=x onerror="window.hacked=1"> \u202egnp.exe',
      body: '</pre><script>window.hacked = 1</script><svg onload="window.hacked=1">\u200b',
    }
    const call = await holdMail(server, model, hostile)
    const { page, faults } = await open(call)
    await page.getByText('</pre><script>window.hacked = 1</script>').waitFor()
    expect(await page.getByRole('definition').nth(2).textContent()).toBe(
      '<img src=x onerror="window.hacked=1"> U+202Egnp.exe',
    )
    expect(await page.locator('.mail pre').textContent()).toContain('<svg onload="window.hacked=1">U+200B')
    expect(await page.evaluate(() => 'hacked' in window)).toBe(false)
    expect(await page.locator('main img, main svg, main script').count()).toBe(0)
    await decide(page, 'Reject', '<img src=x onerror="window.hacked=1">')
    await page.getByText('done').waitFor()
    expect(await page.evaluate(() => 'hacked' in window)).toBe(false)
    expect(faults).toEqual([])
  })

  test("every text of an approval is text: a tool's name, its reason, its risk, the argument names", async () => {
    const bad = '<img src=x onerror="window.hacked=1">'
    const { page, faults } = await openTab('about:blank')
    await page.route('**/approvals?*', (route) =>
      route.fulfill({ json: [hostileApproval(bad)], headers: { 'x-pagination-total': '1' } }),
    )
    await page.goto(`${server.url}/console`)
    await page.getByRole('heading', { name: bad }).waitFor()
    expect(await page.getByText(bad).count()).toBeGreaterThan(3)
    expect(await page.locator('main img').count()).toBe(0)
    expect(await page.evaluate(() => 'hacked' in window)).toBe(false)
    expect(faults).toEqual([])
  })

  test('decided ones are found by their state, and a link opens one of them', async () => {
    const { page } = await openTab(`${server.url}/console`)
    await page.getByLabel('Show').selectOption('Edited')
    await page.getByRole('link', { name: /Edit me/ }).click()
    await page.getByRole('heading', { name: 'Approved with changes by local' }).waitFor()
    expect(page.url()).toMatch(/#\/approvals\/[\w-]+\?status=edited$/)
    await page.reload()
    await page.getByRole('heading', { name: 'Approved with changes by local' }).waitFor()
    expect(await page.getByLabel('Show').inputValue()).toBe('edited')
    await page.goto(`${server.url}/console#/approvals/00000000-0000-4000-8000-000000000000`)
    await page.getByText('does not exist').waitFor()
  })

  test('a keyboard is enough, on a phone too', async () => {
    const call = await holdMail(server, model, {
      to: 'ops@example.com',
      subject: 'By keyboard',
      body: `${'long '.repeat(200)}\n`.repeat(20),
    })
    const { page } = await openTab(`${server.url}/console`, PHONE)
    await page.getByRole('link', { name: /By keyboard/ }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'send_email' }).waitFor()
    expect(await page.getByRole('region', { name: 'Approvals', exact: true }).isVisible()).toBe(false)
    await focused(page, 'send_email')
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true)
    expect(
      await page
        .getByRole('button', { name: 'Approve' })
        .evaluate((button) => button.getBoundingClientRect().bottom <= innerHeight),
    ).toBe(true)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await focused(page, 'Approved by local')
    await page.getByText('done').waitFor()
    expect((await approvalNow(server, call)).status).toBe('approved')
  })

  test('a server that is gone is named, and what is on the screen stays', async () => {
    const call = await holdMail(server, model, { to: 'ops@example.com', subject: 'Cut off', body: 'Text.' })
    const { page } = await open(call)
    await page.getByRole('button', { name: 'Approve' }).waitFor()
    await page.route('**/approvals**', (route) => route.abort())
    await page.getByText('The server does not answer.').first().waitFor()
    await page.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('alert').filter({ hasText: 'The server did not answer.' }).waitFor()
    await page.unroute('**/approvals**')
    await page.getByText('What you see is from').waitFor({ state: 'hidden' })
    await decide(page, 'Reject')
    await page.getByText('done').waitFor()
  })

  async function decide(page: Page, button: 'Reject', words = ''): Promise<void> {
    await page.getByRole('button', { name: button }).click()
    await page.getByRole('textbox').fill(words)
    await page.getByRole('button', { name: button }).click()
    await page.getByRole('region', { name: 'Outcome' }).waitFor()
  }

  async function rejectAll(...calls: HeldCall[]): Promise<void> {
    for (const { approval_id, thread_id } of calls) {
      const response = await fetch(`${server.url}/approvals/${approval_id}/decisions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{"type":"reject"}',
      })
      const { resumed_run_id } = (await response.json()) as HeldCall
      await server.client.runs.join(thread_id, resumed_run_id ?? '')
    }
  }

  /** The sent mails that contain this text. */
  async function mailsWith(text: string): Promise<string[]> {
    const outbox = join(server.dataDir, 'outbox')
    const names = await readdir(outbox).catch(() => [])
    const mails = await Promise.all(
      names.filter((name) => name.endsWith('.eml')).map((name) => readFile(join(outbox, name), 'utf8')),
    )
    return mails.filter((mail) => mail.includes(text))
  }
})

async function focused(page: Page, text: string): Promise<void> {
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.textContent), { timeout: 10_000 })
    .toBe(text)
}

/** As no server of ours would send it. */
function hostileApproval(bad: string): Json {
  const id = '00000000-0000-4000-8000-000000000001'
  return {
    approval_id: id,
    thread_id: id,
    run_id: id,
    assistant_id: id,
    interrupt_id: id,
    tool: bad,
    tool_version: bad,
    args: { [bad]: bad },
    args_schema: { type: 'object', properties: { [bad]: { type: 'string', description: bad } } },
    preview: { kind: 'diff', path: bad, before: bad, text: `+${bad}` },
    no_preview: null,
    replaces: bad,
    args_hash: bad,
    risk: bad,
    reason: bad,
    rule: bad,
    policy_version: bad,
    needs: {
      approvers: 1,
      seniors: 0,
      who: [bad],
      expires_in: 9,
      on_expiry: { escalate: { to: [bad], expires_in: 9 } },
    },
    status: 'pending',
    decisions: [],
    votes: [{ by: bad, type: 'approve', at: new Date().toISOString(), comment: bad, senior: true }],
    proposal: { by: bad, at: new Date().toISOString(), args: { [bad]: bad }, args_hash: bad },
    comments: [{ by: bad, at: new Date().toISOString(), text: bad }],
    escalated_at: new Date().toISOString(),
    self_approval: false,
    you: { identity: bad, may: ['approve', 'edit', 'reject', 'respond'], why_not: bad },
    created_at: new Date().toISOString(),
    expires_at: new Date(Date.now() + 9e6).toISOString(),
    decided_at: null,
    resumed_run_id: null,
  }
}
