import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { onEachDatabase, onPostgres, type Place } from '../support/each-database.ts'
import { useProcesses } from '../support/processes.ts'
import { type Receiver, startReceiver, verified } from '../support/receiver.ts'
import { type ServerProcess, startTestServer } from '../support/server.ts'
import { httpOn, mailTo, says, untilThread, WAIT } from '../support/stage.ts'

// Each starts processes, which wait for their turn on a machine that other tests share.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

/** A try that was begun by a process that died is another's after 15 seconds. */
const TAKEN_OVER = { timeout: 45_000, interval: 50 }

const { spawn, scripted, closers } = useProcesses()

onEachDatabase((database) => {
  test('an endpoint of the command line is told of an approval and its runs, signed, and no log has its secret', async () => {
    const receiver = await receive()
    const secret = secretIn(await holdpoint(database.place, 'create', '--url', `${receiver.url}/all`))
    const ofRuns = (await holdpoint(database.place, 'secret')).trim()
    const model = await scripted({ toolCalls: [mailTo('told')] }, { content: 'Mailed.' })
    const env = {
      HOLDPOINT_WEBHOOK_HOSTS: receiver.host,
      HOLDPOINT_PUBLIC_URL: 'https://holdpoint.example/',
    }
    const server = await startTestServer({ ...database.place, modelUrl: model.url, env })
    closers.push(server.close)
    // What it says of whoever asks is not the receiver's.
    const get = async (id: string) => {
      const shown = (await httpOn(server.url)('GET', `/approvals/${id}`)).json<Record<string, unknown>>()
      const { you: _, self_approval: __, ...hold } = shown
      return hold
    }

    const { thread_id: threadId } = await server.client.threads.create()
    const webhook = `${receiver.url}/own`
    await server.client.runs.wait(threadId, 'react', { input: says('Mail it.'), webhook })
    const requested = await arrived(receiver, 'approval.requested')
    const approvalId = String(requested.event.data['approval_id'])
    expect(requested.event.data).toEqual({
      ...(await get(approvalId)),
      url: `https://holdpoint.example/console#/approvals/${approvalId}`,
    })
    await httpOn(server.url)('POST', `/approvals/${approvalId}/decisions`, { type: 'approve' })
    await untilThread(server.client, threadId, 'idle')
    const decided = await arrived(receiver, 'approval.decided')
    expect(decided.event.data).toMatchObject(await get(approvalId))

    await vi.waitFor(() => {
      expect(
        receiver
          .at('/all')
          .map(({ event }) => event.type)
          .toSorted(),
      ).toEqual(['approval.decided', 'approval.requested', 'run.completed', 'run.completed'])
    }, WAIT)
    await vi.waitFor(() => expect(receiver.at('/own')).toHaveLength(2), WAIT)
    for (const sent of receiver.at('/all')) expect(verified(secret, sent)).toEqual(sent.event)
    for (const sent of receiver.at('/own')) {
      expect(verified(ofRuns, sent)).toMatchObject({ thread_id: threadId, kwargs: { webhook } })
      expect(() => verified(secret, sent)).toThrow('No matching signature')
    }
    await vi.waitFor(async () => {
      const { text } = await httpOn(server.url)('GET', '/metrics')
      expect(text).toContain('\nholdpoint_webhooks_pending 0\n')
      expect(text).toContain('\nholdpoint_webhooks_dead 0\n')
    }, WAIT)
    for (const hidden of [secret, ofRuns])
      expect(server.logLines.join('\n')).not.toContain(hidden.slice('whsec_'.length))
  })

  test('a server killed between the end of a run and its delivery, or in the middle of that, loses no event', async () => {
    const receiver = await receive()
    const secret = secretIn(await holdpoint(database.place, 'create', '--url', `${receiver.url}/all`))
    const model = await scripted({ toolCalls: [mailTo('killed')] })
    const server = (env: Record<string, string> = {}) =>
      spawn({
        ...database.place,
        modelUrl: model.url,
        env: { HOLDPOINT_WEBHOOK_HOSTS: receiver.host, ...env },
      })
    const dying = { HOLDPOINT_TEST_MODE: '1', HOLDPOINT_FAILPOINTS: 'run.settle:after=kill' }
    const first = await server(dying)
    const { thread_id: threadId } = await first.client.threads.create()
    await first.client.runs.create(threadId, 'react', { input: says('Mail it.') })
    await once(first.process, 'exit')
    expect(receiver.received).toEqual([])

    // It has arrived, and the server dies before it hears so: the first thing that it does may be to deliver.
    const second = Promise.withResolvers<ServerProcess>()
    let killed: Promise<void> | undefined
    const kill = () => {
      killed ??= second.promise.then((one) => one.kill())
    }
    receiver.answer('/all', kill, kill, kill, kill)
    second.resolve(await server())
    await vi.waitFor(() => expect(killed).toBeDefined(), TAKEN_OVER)
    await killed
    const tried = receiver.received.length
    receiver.answers.clear()

    await server()
    await vi.waitFor(() => expect(receiver.received).toHaveLength(tried + 2), TAKEN_OVER)
    const events = receiver.received.slice(tried)
    expect(events.map(({ event }) => event.type).toSorted()).toEqual(['approval.requested', 'run.completed'])
    for (const sent of receiver.received) expect(verified(secret, sent)).toEqual(sent.event)
    // What was told twice has the id that it had.
    expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(2)
  })
})

onPostgres((database) => {
  test('every command of docs/webhooks.md works, and its receiver takes what is signed', async () => {
    const { place } = database
    const page = await readFile(new URL('../../docs/webhooks.md', import.meta.url), 'utf8')
    const receiver = await receive()
    const [, source = ''] = /^```js\n(.*?)^```$/ms.exec(page) ?? []
    expect(source.split('\n').length).toBeLessThan(25)
    const port = 20_000 + (process.pid % 10_000)
    const created = await holdpoint(place, 'create', '--url', `http://127.0.0.1:${port}/holdpoint`)
    const said: string[] = []
    const program = execFile(
      process.execPath,
      ['--input-type=module', '-e', source.replace('8080', String(port))],
      { env: { PATH: process.env['PATH'], WEBHOOK_SECRET: secretIn(created) } },
    )
    closers.push(() => void program.kill())
    program.stdout?.on('data', (text: string) => said.push(text))
    const env = { HOLDPOINT_WEBHOOK_HOSTS: `127.0.0.1:${port},${receiver.host}` }
    const model = await scripted({ content: 'Hello.' })
    const server = await spawn({ ...place, modelUrl: model.url, env })
    const { thread_id: threadId } = await server.client.threads.create()
    const run = await server.client.runs.create(threadId, 'react', { input: says('Hi.') })
    await vi.waitFor(() => expect(said.join('')).toBe(`run.completed ${run.run_id}\n`), TAKEN_OVER)

    const other = await holdpoint(place, 'create', '--url', receiver.url)
    const [, endpoint = ''] = /^endpoint +(\S+)$/m.exec(other) ?? []
    const queued = await holdpoint(place, 'test', endpoint)
    const [, id = ''] = /^Webhook (\S+) is queued/m.exec(queued) ?? []
    await vi.waitFor(() => expect(receiver.received.map((one) => one.id)).toEqual([id]), WAIT)
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block)
    const commands = blocks
      .filter((block) => !block.includes('node receiver.mjs'))
      .join('')
      .replaceAll('npx holdpoint', `'${process.execPath}' server/bin.ts`)
    const script = `set -e\n${commands}`
    const options = { env: { ...environmentOf(place), ENDPOINT: endpoint, WEBHOOK: id } }
    const { stdout } = await promisify(execFile)('sh', ['-c', script], options)
    expect(stdout.match(/whsec_/g)).toHaveLength(3)
    expect(stdout).toContain(`Endpoint ${endpoint} is deleted`)
    await vi.waitFor(() => expect(receiver.received.filter((one) => one.id === id)).toHaveLength(2), WAIT)
  })

  test('what the command line cannot do is one line that says what to do', async () => {
    const { place } = database
    const nobody = '019ab000-0000-7000-8000-000000000000'
    for (const [args, code, line] of [
      [['create'], 2, '--url is missing'],
      [['create', '--url', 'ftp://files.example'], 2, '--url must be an http or https URL'],
      [['create', '--url', 'https://me:word@hooks.example'], 2, 'no user name and no password'],
      [
        ['create', '--url', 'https://hooks.example', '--events', 'run.begun'],
        2,
        'no "run.begun", but approval.',
      ],
      [['create', '--url', 'https://hooks.example', '--metadata', '[1]'], 2, 'must be a JSON object'],
      [['rotate', nobody, '--overlap', '2y'], 2, 'must be a time such as 30m'],
      [['rotate', 'x'], 2, '"x" is no id'],
      [['list', '--all'], 2, "Unknown option '--all'"],
      [['create', '--url', 'http://127.0.0.1:1/', '--tenant', ''], 2, '--tenant must name one'],
      [['forget', nobody], 2, 'webhooks has no "forget"'],
      [['rotate', nobody], 1, `There is no endpoint ${nobody}. holdpoint webhooks list`],
      [['test', nobody], 1, `There is no enabled endpoint ${nobody}. holdpoint webhooks list`],
      [['redeliver', nobody], 1, `There is no webhook ${nobody} that can be sent`],
    ] as const) {
      const refused: unknown = await holdpoint(place, ...args).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code, stderr: expect.stringContaining(line) })
      expect((refused as { stderr: string }).stderr.trim().split('\n')).toHaveLength(1)
    }
  })
})

async function receive(): Promise<Receiver> {
  const receiver = await startReceiver()
  closers.push(receiver.close)
  return receiver
}

/** What `holdpoint webhooks` says. Rejects where it fails. */
async function holdpoint(place: Place, ...args: string[]): Promise<string> {
  const options = { env: environmentOf(place) }
  const command = ['server/bin.ts', 'webhooks', ...args]
  return (await promisify(execFile)(process.execPath, command, options)).stdout
}

function environmentOf({ databaseUrl, secret, dataDir }: Place): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOLDPOINT_DATA_DIR: dataDir,
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl, HOLDPOINT_SECRET: secret }),
  }
}

function secretIn(said: string): string {
  return /whsec_\S+/.exec(said)?.[0] ?? ''
}

async function arrived({ received }: Receiver, type: string) {
  return await vi.waitFor(() => {
    const found = received.find(({ event }) => event.type === type)
    if (found === undefined) throw new Error(`${type} has not arrived.`)
    return found
  }, WAIT)
}
