import { readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Effect } from '../../runtime/effect.ts'
import type { Hold } from '../../runtime/hold.ts'
import { onPostgres } from '../support/each-database.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { type ServerProcess, spawnServer, temporaryDirectory } from '../support/server.ts'
import { type SmtpServer, startSmtp } from '../support/smtp.ts'

const WAIT = { timeout: 20_000, interval: 50 }
const MAIL = { to: 'ops@example.com', subject: 'Once', body: 'Only once.' }
const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

onPostgres((database) => {
  const spawn = async (model: ScriptedModel, env: Record<string, string> = {}): Promise<ServerProcess> => {
    const server = await spawnServer({
      ...database.place,
      dataDir: database.place.dataDir,
      modelUrl: model.url,
      env: { HOLDPOINT_LEASE_MS: '1000', HOLDPOINT_TEST_MODE: '1', ...env },
    })
    closers.push(server.kill)
    return server
  }
  const get = async <T>(server: ServerProcess, path: string): Promise<T> =>
    (await (await fetch(`${server.url}${path}`)).json()) as T
  const pending = (server: ServerProcess, threadId: string) =>
    get<Hold[]>(server, `/approvals?status=pending&thread_id=${threadId}`)
  const decide = (server: ServerProcess, hold: Hold | undefined, decision: object) =>
    fetch(`${server.url}/approvals/${hold?.approval_id}/decisions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(decision),
    })

  /** A run whose mail is approved on a server that then dies at the failpoint; another server takes over. */
  async function killedAt(
    failpoint: string,
    env: Record<string, string> = {},
    between: () => Promise<void> = () => Promise.resolve(),
  ) {
    const model = await startScriptedModel([
      { toolCalls: [{ name: 'send_email', args: MAIL }] },
      { content: 'Done.' },
    ])
    closers.push(model.close)
    const first = await spawn(model, { ...env, HOLDPOINT_FAILPOINTS: `${failpoint}=kill` })
    const { thread_id } = await first.client.threads.create()
    const input = { messages: [{ role: 'user', content: 'Mail ops.' }] }
    await first.client.runs.wait(thread_id, 'react', { input })
    const [hold] = await pending(first, thread_id)
    const exited = new Promise((resolve) => first.process.once('exit', resolve))
    await decide(first, hold, { type: 'approve' })
    await exited
    await between()
    const second = await spawn(model, env)
    return { second, threadId: thread_id }
  }

  const ended = (server: ServerProcess, threadId: string) =>
    vi.waitFor(async () => {
      const thread = await server.client.threads.get(threadId)
      expect(thread.status).toBe('idle')
      return thread.values as { messages: { type: string; content: string }[] }
    }, WAIT)
  const effects = (server: ServerProcess, threadId: string) =>
    get<Effect[]>(server, `/threads/${threadId}/effects`)

  describe('a mail to the outbox', () => {
    test.for([
      'effect.intend:after',
      'outbox.publish:before',
      'outbox.publish:after',
      'effect.call:after',
      'effect.conclude:after',
    ])('is sent once, and nobody is asked, when the server dies at %s', async (failpoint) => {
      const { second, threadId } = await killedAt(failpoint)
      const { messages } = await ended(second, threadId)
      expect(messages.filter(({ type }) => type === 'tool')).toHaveLength(1)
      const [effect, ...others] = await effects(second, threadId)
      expect(effect).toMatchObject({ tool: 'send_email', status: 'done' })
      expect(others).toEqual([])
      const mails = await readdir(join(database.place.dataDir, 'outbox'))
      expect(mails.filter((name) => name === `${effect?.key}.eml`)).toHaveLength(1)
      expect(await get<Hold[]>(second, `/approvals?thread_id=${threadId}`)).toHaveLength(1)
    })
  })

  describe('a mail that the policy denies by the time that another worker takes it over', () => {
    test.for([
      {
        failpoint: 'effect.intend:after',
        said: 'Rule \\"stop\\" denies send_email',
        status: 'failed',
        sent: 0,
      },
      { failpoint: 'effect.call:after', said: '"status":"ok"', status: 'done', sent: 1 },
      { failpoint: 'effect.conclude:after', said: '"status":"ok"', status: 'done', sent: 1 },
    ])('is told as what it became after $failpoint', async ({ failpoint, said, status, sent }) => {
      const folder = await temporaryDirectory()
      closers.push(() => rm(folder, { recursive: true }))
      const file = join(folder, 'policy.json')
      const write = (rules: string) => writeFile(file, `{"rules":[${rules}]}`)
      await write('')
      const deny = '{"name":"stop","when":{"tool":"send_email"},"then":"deny"}'
      const { second, threadId } = await killedAt(failpoint, { HOLDPOINT_POLICY: file }, () => write(deny))
      const { messages } = await ended(second, threadId)
      expect(messages.find(({ type }) => type === 'tool')?.content).toContain(said)
      const [effect] = await effects(second, threadId)
      expect(effect?.status).toBe(status)
      const mails = await readdir(join(database.place.dataDir, 'outbox'))
      expect(mails.filter((name) => name === `${effect?.key}.eml`)).toHaveLength(sent)
    })
  })

  describe('a mail over SMTP, which cannot be asked', () => {
    async function inDoubt(): Promise<{
      smtp: SmtpServer
      server: ServerProcess
      threadId: string
      hold: Hold
    }> {
      const smtp = await startSmtp()
      closers.push(smtp.close)
      const { second, threadId } = await killedAt('effect.call:after', { SMTP_URL: smtp.url })
      const hold = await vi.waitFor(async () => {
        const [waiting] = await pending(second, threadId)
        if (waiting === undefined) throw new Error('No hold yet.')
        return waiting
      }, WAIT)
      expect(smtp.mails).toHaveLength(1)
      expect(hold).toMatchObject({ kind: 'in_doubt', tool: 'send_email', args: MAIL })
      return { smtp, server: second, threadId, hold }
    }

    test('is not sent again when a person says that it happened, and the model is told so', async () => {
      const { smtp, server, threadId, hold } = await inDoubt()
      const answer = await decide(server, hold, { type: 'respond', message: 'It is in the sent folder.' })
      expect(answer.status).toBe(200)
      const { messages } = await ended(server, threadId)
      expect(messages.find(({ type }) => type === 'tool')?.content).toContain('It is in the sent folder.')
      expect(smtp.mails).toHaveLength(1)
      expect(await effects(server, threadId)).toMatchObject([{ status: 'done' }])
    })

    test('is sent when a person says that it did not happen', async () => {
      const { smtp, server, threadId, hold } = await inDoubt()
      await decide(server, hold, { type: 'approve' })
      await ended(server, threadId)
      expect(smtp.mails).toHaveLength(2)
      const ids = smtp.mails.map((mail) => /Message-ID: (\S+)/i.exec(mail)?.[1])
      expect(ids[0]).toBe(ids[1])
      expect(await effects(server, threadId)).toMatchObject([{ status: 'done' }])
    })

    test('is skipped when a person says so, and cannot be edited', async () => {
      const { smtp, server, threadId, hold } = await inDoubt()
      expect((await decide(server, hold, { type: 'edit', args: MAIL })).status).toBe(422)
      await decide(server, hold, { type: 'reject' })
      const { messages } = await ended(server, threadId)
      expect(messages.find(({ type }) => type === 'tool')?.content).toContain(
        'decided that this call is not run',
      )
      expect(smtp.mails).toHaveLength(1)
      expect(await effects(server, threadId)).toMatchObject([{ status: 'skipped' }])
    })
  })
})
