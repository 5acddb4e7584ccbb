import { readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Hold } from '../../runtime/hold.ts'
import { onPostgres } from '../support/each-database.ts'
import { temporaryDirectory } from '../support/server.ts'
import { says, untilThread, useStage } from '../support/stage.ts'

const ROOT = new URL('../../', import.meta.url).pathname

onPostgres((database) => {
  const env: Record<string, string> = { HOLDPOINT_TOOL_SECRETS: 'PAY_KEY' }
  const asked: { headers: IncomingHttpHeaders; body: string }[] = []
  let payments: Server | undefined
  let folder = ''

  beforeAll(async () => {
    payments = createServer((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        asked.push({ headers: request.headers, body })
        if (asked.length === 1) response.writeHead(503).end()
        else response.end(JSON.stringify({ refund: 'r-1', internal: 'of no concern' }))
      })
    })
    await new Promise<void>((done) => payments?.listen(0, '127.0.0.1', done))
    const host = `127.0.0.1:${(payments.address() as AddressInfo).port}`
    process.env['PAY_HOST'] = host
    process.env['PAY_URL'] = `http://${host}`
    env['HOLDPOINT_HTTP_PRIVATE_HOSTS'] = host
    process.env['PAY_KEY'] = 'the key of the payments'
    folder = await temporaryDirectory()
    const docs = await readFile(join(ROOT, 'docs/tools.md'), 'utf8')
    const [, code = ''] = /```ts\n\/\/ src\/support\.ts\n([^]*?)```/.exec(docs) ?? []
    const here = code
      .replaceAll(/'holdpoint\/([\w/]+)'/g, (_, path: string) => `'${ROOT}${path}.ts'`)
      .replace("'zod'", `'${ROOT}node_modules/zod/index.js'`)
    await writeFile(join(folder, 'support.mts'), here)
    await writeFile(join(folder, 'langgraph.json'), '{ "graphs": { "support": "./support.mts:graph" } }')
    env['HOLDPOINT_CONFIG'] = join(folder, 'langgraph.json')
  })
  afterAll(async () => {
    payments?.close()
    await rm(folder, { recursive: true, force: true })
  })
  const stage = useStage(database, env)

  test('the tool of docs/tools.md waits for a person, and does what it says with its key', async () => {
    const threadId = await stage.thread()
    stage.play({ toolCalls: [{ name: 'refund', args: { order: 'A-7', cents: 1_250 } }] })
    await stage.client.runs.wait(threadId, 'support', { input: says('Refund it.') })
    const [hold] = await stage.holds(threadId)
    expect(hold).toMatchObject({ risk: 'medium', args: { order: 'A-7', cents: 1_250 } })
    expect(asked).toEqual([])
    stage.model.play([{ content: 'Refunded.' }])
    const decided = await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    await stage.client.runs.join(threadId, decided.json<Hold>().resumed_run_id ?? '')
    await untilThread(stage.client, threadId, 'idle')
    expect(stage.model.requests[0]?.messages.at(-1)?.content).toContain('"result":{"refund":"r-1"}')
    // The first was answered with 503.
    expect(asked.map(({ body }) => body)).toEqual(Array(2).fill('{"order":"A-7","cents":1250}'))
    expect(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
    expect(asked[0]?.headers.authorization).toBe('Bearer the key of the payments')
  })

  test('by its amount it needs two', async () => {
    const threadId = await stage.thread()
    stage.play({ toolCalls: [{ name: 'refund', args: { order: 'A-8', cents: 60_000 } }] })
    await stage.client.runs.wait(threadId, 'support', { input: says('Refund it.') })
    expect(await stage.holds(threadId)).toMatchObject([{ risk: 'high', needs: { approvers: 2 } }])
  })
})
