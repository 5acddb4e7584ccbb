import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEmbedded } from '../../support/each-database.ts'
import { useStage, WAIT } from '../../support/stage.ts'

const PROJECT = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname
const MAX = 3
const AGAIN = Array.from({ length: MAX })

onEmbedded((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_MAX_STREAMS: String(MAX) })
  const alice = { authorization: 'Bearer alice' }
  const ask = (method: string, path: string, body?: unknown) => stage.http(method, path, body, alice)
  const thread = async () => (await ask('POST', '/threads', {})).json<{ thread_id: string }>().thread_id

  /** All streams that there may be, at once; they are gone when it returns. */
  async function expectAllFree(): Promise<void> {
    const path = `/threads/${await thread()}/stream`
    const gone = new AbortController()
    await vi.waitFor(async () => {
      const open = await Promise.all(
        AGAIN.map(() => fetch(stage.url + path, { headers: alice, signal: gone.signal })),
      )
      const statuses = open.map(({ status }) => status)
      if (statuses.some((status) => status !== 200)) for (const { body } of open) await body?.cancel()
      expect(statuses).toEqual(AGAIN.map(() => 200))
    }, WAIT)
    gone.abort()
    await vi.waitFor(async () => {
      const one = await fetch(stage.url + path, { headers: alice })
      await one.body?.cancel()
      expect(one.status).toBe(200)
    }, WAIT)
  }

  describe('a stream that did not begin leaves its place', () => {
    const senseless = { assistant_id: 'echo', input: { answer: 1 }, command: { goto: 'sees' } }

    test('to the next, whatever refuses it', async () => {
      const path = `/threads/${await thread()}/runs/stream`
      for (const _ of AGAIN) {
        expect((await ask('POST', path, senseless)).status).toBe(422)
        expect((await ask('POST', '/runs/stream', senseless)).status).toBe(422)
        expect((await ask('POST', path, { assistant_id: newId(), input: {} })).status).toBe(404)
        expect((await ask('POST', '/runs/stream', { assistant_id: newId(), input: {} })).status).toBe(404)
        const resume = { assistant_id: 'echo', command: { resume: 'nothing waits' } }
        expect((await ask('POST', '/runs/stream', resume)).status).toBe(422)
      }
      await expectAllFree()
    })

    test('where only its headers are asked for, which are those of the stream', async () => {
      const threadId = await thread()
      const started = await ask('POST', `/threads/${threadId}/runs`, { assistant_id: 'echo', input: {} })
      const { run_id: runId } = started.json<{ run_id: string }>()
      const run = `/threads/${threadId}/runs/${runId}`
      for (const path of [`/threads/${threadId}/stream`, `${run}/stream`, `/runs/${runId}/stream`])
        for (const _ of AGAIN) {
          const head = await ask('HEAD', path)
          expect([head.status, head.headers.get('content-type')]).toEqual([
            200,
            'text/event-stream; charset=utf-8',
          ])
        }
      expect((await ask('HEAD', `${run}/stream`)).headers.get('location')).toBe(`${run}/stream`)
      expect((await ask('HEAD', `${run}/join`)).headers.get('content-location')).toBe(run)
      expect((await ask('HEAD', `/threads/${threadId}/runs/${newId()}/stream`)).status).toBe(404)
      await expectAllFree()
    })
  })

  test('a run that is asked for when there is no place for its stream is not begun', async () => {
    const threadId = await thread()
    const gone = new AbortController()
    const open = { headers: alice, signal: gone.signal }
    await vi.waitFor(async () => {
      for (const _ of AGAIN) await fetch(`${stage.url}/threads/${threadId}/stream`, open)
      const refused = await ask('POST', `/threads/${threadId}/runs/stream`, {
        assistant_id: 'echo',
        input: {},
      })
      expect(refused.status).toBe(503)
    }, WAIT)
    gone.abort()
    expect((await ask('GET', `/threads/${threadId}/runs`)).json()).toEqual([])
    await expectAllFree()
  })
})
