import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { openStorage } from '../../../storage/open.ts'
import { onEachDatabase, onPostgres, type Place } from '../../support/each-database.ts'
import { says, useStage, WAIT } from '../../support/stage.ts'

interface Values {
  messages: { content: string }[]
}

onEachDatabase((database) => {
  const stage = useStage(database)
  const wait = (input: object, more: object = {}) =>
    stage.client.runs.wait(null, 'react', { input: input as Record<string, unknown>, ...more })

  test('a stateless run is waited for, and its thread is in no list', async () => {
    stage.play({ content: 'Done.' })
    const values = (await wait(says('Go.'), { metadata: { mark: 'waited' } })) as unknown as Values
    expect(values.messages.at(-1)?.content).toBe('Done.')
    expect(await stage.client.threads.search({ metadata: { graph_id: 'react' } })).toEqual([])
  })

  test('on_completion keep leaves a thread like any other', async () => {
    stage.play({ content: 'Kept.' })
    const run = await stage.client.runs.create(null, 'react', {
      input: says('Go.'),
      onCompletion: 'continue',
    })
    await vi.waitFor(async () => {
      expect((await stage.client.threads.get(run.thread_id)).status).toBe('idle')
    }, WAIT)
    const found = await stage.client.threads.search({ ids: [run.thread_id] })
    expect(found.map(({ thread_id }) => thread_id)).toEqual([run.thread_id])
  })

  test('a stateless run is streamed; Content-Location and Location name it without a thread', async () => {
    stage.play({ content: 'Streamed.' })
    const answer = await stage.http('POST', '/runs/stream', {
      assistant_id: 'react',
      input: says('Go.'),
      stream_mode: ['values', 'updates'],
    })
    expect(answer.status).toBe(200)
    const path = answer.headers.get('content-location') ?? ''
    expect(path).toMatch(/^\/runs\/[0-9a-f-]{36}$/)
    expect(answer.headers.get('location')).toBe(`${path}/stream`)
    expect(answer.text).toContain('Streamed.')

    const again = await stage.http('GET', `${path}/stream`)
    expect(again.text).toBe(answer.text)
    const values = await stage.http('GET', `${path}/stream?stream_mode=values`)
    expect(eventsOf(values.text)).toEqual(
      eventsOf(answer.text).filter((event) => event === 'values' || event === 'metadata'),
    )
  })

  test('a batch starts each of its runs on a thread of its own, or none', async () => {
    stage.play({ content: 'A.' }, { content: 'B.' })
    const one = { assistantId: 'react', input: says('Go.'), onCompletion: 'continue' as const }
    const runs = await stage.client.runs.createBatch([one, one])
    expect(new Set(runs.map(({ thread_id }) => thread_id)).size).toBe(2)
    for (const { thread_id, run_id } of runs) await stage.client.runs.join(thread_id, run_id)

    const mixed = await stage.http('POST', '/runs/batch', [
      { assistant_id: 'react', input: says('Go.') },
      { assistant_id: 'nobody', input: says('Go.') },
    ])
    expect([mixed.status, mixed.text]).toEqual([404, 'Assistant not found'])
    expect((await stage.http('POST', '/runs/batch', [])).status).toBe(422)
    expect((await stage.http('POST', '/runs/batch', {})).status).toBe(422)
  })

  test('a stateless run resumes nothing', async () => {
    const answer = await stage.http('POST', '/runs/wait', { assistant_id: 'react', command: { resume: 1 } })
    expect(answer.status).toBe(422)
    expect(answer.text).toContain('Name the thread')
  })

  test('runs are cancelled together: by id, of a thread, by status', async () => {
    const later = { input: says('Go.'), afterSeconds: 3_600 }
    const thread = await stage.thread()
    const [a, b] = [
      await stage.client.runs.create(thread, 'react', later),
      await stage.client.runs.create(thread, 'react', later),
    ]
    const other = await stage.client.runs.create(await stage.thread(), 'react', later)
    const status = async (run: { thread_id: string; run_id: string }) =>
      (await stage.client.runs.get(run.thread_id, run.run_id)).status
    await stage.client.runs.cancelMany({ threadId: thread, runIds: [a.run_id, other.run_id] })
    expect([await status(a), await status(b), await status(other)]).toEqual([
      'interrupted',
      'pending',
      'pending',
    ])
    await stage.client.runs.cancelMany({ status: 'pending' })
    expect([await status(b), await status(other)]).toEqual(['interrupted', 'interrupted'])
    expect((await stage.client.threads.get(thread)).status).toBe('idle')
    expect((await stage.http('POST', '/runs/cancel', {})).status).toBe(422)
  })

  test('a run that nobody knows is 404, a name that is no id 422', async () => {
    expect((await stage.http('GET', `/runs/${newId()}/stream`)).status).toBe(404)
    expect((await stage.http('GET', '/runs/afakeroute/stream')).status).toBe(422)
    expect((await stage.http('GET', '/runs/afakeroute')).status).toBe(404)
  })
})

describe('the thread of a stateless run', () => {
  onPostgres((database) => {
    const stage = useStage(database)

    test('goes away when its run has ended, but not while it waits for an approval', async () => {
      stage.play(
        { content: 'Done.' },
        { toolCalls: [{ name: 'send_email', args: { to: 'a@example.com', subject: 's', body: 'b' } }] },
      )
      const done = await stage.client.runs.create(null, 'react', { input: says('Go.') })
      await stage.client.runs.join(done.thread_id, done.run_id)
      const held = await stage.client.runs.create(null, 'react', { input: says('Mail.') })
      await stage.client.runs.join(held.thread_id, held.run_id)

      const storage = await openStorage({ ...open(database.place), poolSize: 2, connectTimeoutMs: 3_000 })
      try {
        expect(await storage.threads.endTemporary(new Date(Date.now() - 60_000))).toEqual([])
        expect(await storage.threads.endTemporary(new Date(Date.now() + 60_000))).toEqual([done.thread_id])
      } finally {
        await storage.close()
      }
      await expect(stage.client.threads.get(done.thread_id)).rejects.toThrow('404')
      expect((await stage.client.threads.get(held.thread_id)).status).toBe('interrupted')
    })
  })
})

function open({ databaseUrl, ...place }: Place) {
  return { databaseUrl, ...place }
}

function eventsOf(text: string): string[] {
  return [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name ?? '')
}
