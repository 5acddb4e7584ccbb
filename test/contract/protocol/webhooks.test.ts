import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { retryIn } from '../../../runtime/webhooks.ts'
import { onEachDatabase } from '../../support/each-database.ts'
import { type Delivery, hangUp, type Receiver, startReceiver, status } from '../../support/receiver.ts'
import { says, useStage, WAIT } from '../../support/stage.ts'

/** A port that is known before the server starts, because the server is told that it may reach it. */
const PORT = 20_000 + (process.pid % 10_000)

onEachDatabase((database) => {
  const port = database.embedded ? PORT : PORT + 1
  const stage = useStage(database, { HOLDPOINT_WEBHOOK_HOSTS: `127.0.0.1:${port}` })
  let receiver: Receiver | undefined
  beforeAll(async () => {
    receiver = await startReceiver(port)
  })
  afterAll(() => receiver?.close())
  const at = (path: string) => receiver?.at(path) ?? []
  const bodyOf = (sent: Delivery | undefined) => JSON.parse(sent?.body ?? '{}') as Record<string, unknown>
  const run = async (path: string, more: object = {}) => {
    const threadId = await stage.thread()
    const started = await stage.client.runs.create(threadId, 'react', {
      input: says('Go.'),
      webhook: `http://127.0.0.1:${port}${path}`,
      ...more,
    })
    return { threadId, runId: started.run_id }
  }

  test('a run that has ended is told once, with its status, values and times', async () => {
    stage.play({ content: 'Told.' })
    const { threadId, runId } = await run('/ended', { metadata: { mark: 'x' } })
    await vi.waitFor(() => expect(at('/ended')).toHaveLength(1), WAIT)
    const body = bodyOf(at('/ended')[0])
    expect(body).toMatchObject({
      run_id: runId,
      thread_id: threadId,
      status: 'success',
      metadata: { mark: 'x' },
      error: null,
    })
    const { messages } = body['values'] as { messages: { content: string }[] }
    expect(messages.at(-1)?.content).toBe('Told.')
    const times = ['created_at', 'run_started_at', 'run_ended_at', 'webhook_sent_at'].map((name) =>
      Date.parse(String(body[name])),
    )
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(times).not.toContain(Number.NaN)
  })

  test('a receiver that answers 500, redirects or hangs up is asked again, with the same id', async () => {
    stage.play({ content: 'Told.' })
    const elsewhere = { location: `http://127.0.0.1:${port}/elsewhere` }
    receiver?.answer('/again', status(500), status(302, elsewhere), hangUp)
    await run('/again')
    await vi.waitFor(() => expect(at('/again')).toHaveLength(4), { ...WAIT, timeout: 25_000 })
    expect(new Set(at('/again').map(({ id }) => id)).size).toBe(1)
    expect(at('/elsewhere')).toEqual([])
  })

  test('a run that failed is told with its error', async () => {
    stage.play({ toolCalls: [{ name: 'list_files', args: {} }] })
    await run('/failed', { config: { recursion_limit: 1 } })
    await vi.waitFor(() => expect(at('/failed')).toHaveLength(1), WAIT)
    expect(bodyOf(at('/failed')[0])).toMatchObject({
      status: 'error',
      error: { error: 'GraphRecursionError' },
    })
  })

  test('an address that is not public and not allowed is never reached', async () => {
    stage.play({ content: 'Told nobody.' })
    const { threadId, runId } = await run('/', { webhook: 'http://127.0.0.1:9/private' })
    await stage.client.runs.join(threadId, runId)
    await vi.waitFor(() => {
      const told = stage.logLines.filter((line) => line.includes('A webhook was not taken'))
      expect(told.join('\n')).toContain('not public')
    }, WAIT)
  })

  test.each(['ftp://example.com/x', 'not a url', '/relative', 'http://'])(
    '%s is refused',
    async (webhook) => {
      const threadId = await stage.thread()
      const body = { assistant_id: 'react', input: says('Go.'), webhook }
      expect((await stage.http('POST', `/threads/${threadId}/runs`, body)).status).toBe(422)
    },
  )
})

test('retries double up to an hour, with jitter, and end after a day', () => {
  for (const tries of [1, 5, 30]) {
    const longest = Math.min(3_600, 2 ** (tries - 1))
    const seconds = retryIn({ tries, ageSeconds: 10 }) ?? 0
    expect(seconds).toBeGreaterThanOrEqual(longest / 2)
    expect(seconds).toBeLessThanOrEqual(longest)
  }
  expect(retryIn({ tries: 40, ageSeconds: 86_401 })).toBeUndefined()
})
