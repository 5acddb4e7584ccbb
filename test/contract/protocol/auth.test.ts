import { Client } from '@langchain/langgraph-sdk'
import { describe, expect, test, vi } from 'vitest'
import { newId } from '../../../runtime/ids.ts'
import { onEachDatabase, onEmbedded } from '../../support/each-database.ts'
import { untilThread, useStage, WAIT } from '../../support/stage.ts'
import { TOLD_OF_ALICE } from '../../support/guarded/told.ts'

const PROJECT = new URL('../../support/guarded/langgraph.json', import.meta.url).pathname

onEachDatabase((database) => {
  const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT })
  const as = (name: string) =>
    new Client({
      apiUrl: stage.url,
      apiKey: null,
      defaultHeaders: { authorization: `Bearer ${name}` },
      callerOptions: { maxRetries: 0 },
    })
  const httpAs = (name: string, method: string, path: string, body?: unknown) =>
    stage.http(method, path, body, { authorization: `Bearer ${name}` })

  describe('who somebody is', () => {
    test('a stranger gets the 401 of the handler, with its headers, before anything else is said', async () => {
      for (const [method, path, body] of [
        ['POST', '/threads', {}],
        ['POST', '/threads/search', '{not json'],
        ['GET', '/threads/no-uuid', undefined],
        ['POST', '/assistants/search', {}],
        ['GET', '/approvals', undefined],
        ['POST', '/runs/wait', { assistant_id: 'echo' }],
        ['GET', `/threads/${newId()}/runs/${newId()}/stream`, undefined],
        ['POST', `/threads/${newId()}/stream/events`, { channels: ['values'] }],
      ] as const) {
        const answer = await stage.http(method, path, body)
        expect([answer.status, answer.text], path).toEqual([401, 'Who are you?'])
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
      }
      for (const path of ['/ok', '/info', '/console', '/docs', '/openapi.json'])
        expect((await stage.http('GET', path)).status, path).toBe(200)
    })

    test('a WebSocket is opened by those who are known', async () => {
      const socket = new WebSocket(`${stage.url.replace('http', 'ws')}/threads/${newId()}/stream/events`)
      const opened = await new Promise((done) => {
        socket.addEventListener('open', () => done(true))
        socket.addEventListener('error', () => done(false))
      })
      expect(opened).toBe(false)
    })

    test('a run knows who asked and with which headers, its thread keeps neither, and a client cannot say who it is', async () => {
      const client = as('alice')
      const { thread_id: threadId } = await client.threads.create()
      const seen = await stage.http(
        'POST',
        `/threads/${threadId}/runs/wait`,
        {
          assistant_id: 'echo',
          input: { answer: 1 },
          config: { configurable: { langgraph_auth_user_id: 'boss' } },
        },
        {
          authorization: 'Bearer alice',
          cookie: 'a=b',
          'x-tone': 'loud',
          'x-secret-word': 'no',
          'x-api-key': 'no',
        },
      )
      expect(seen.json()).toEqual({
        answer: 1,
        seen: { ...TOLD_OF_ALICE, tone: 'calm' },
      })
      expect((await client.threads.get(threadId)).config).toEqual({ configurable: { tone: 'calm' } })
    })
  })

  test('what comes with a request is for its own run: no other run has it, and nobody is told', async () => {
    const marks = { tenant: `tenant-${newId()}`, 'x-forwarded-access-token': `token-${newId()}` }
    const alice = { authorization: 'Bearer alice', ...marks }
    const { thread_id: threadId } = await as('alice').threads.create()
    const body = {
      assistant_id: 'echo',
      input: {},
      config: { configurable: { tone: 'calm' } },
      webhook: '/shop/told',
      stream_mode: ['values', 'updates', 'messages', 'tasks', 'checkpoints', 'debug', 'events'],
    }
    const started = await stage.http('POST', `/threads/${threadId}/runs`, body, alice)
    const { run_id: runId } = started.json<{ run_id: string }>()
    await untilThread(as('alice'), threadId, 'idle')
    const seen = { ...marks, langgraph_auth_user_id: 'alice', tone: 'calm' }
    const state = await as('alice').threads.getState<{ seen: object }>(threadId)
    expect(state.values.seen).toMatchObject(seen)

    const told = await vi.waitFor(async () => {
      const all = (await stage.http('GET', '/shop/told')).json<{ run_id: string; kwargs: object }[]>()
      const one = all.find(({ run_id: id }) => id === runId)
      expect(one?.kwargs).toMatchObject({ config: { configurable: { tone: 'calm' } } })
      return one
    }, WAIT)
    const at = `/threads/${threadId}`
    const shown = [started.text, JSON.stringify({ ...told, values: null })]
    for (const path of [`${at}/runs`, `${at}/runs/${runId}`])
      shown.push((await httpAs('alice', 'GET', path)).text)
    const [{ config, metadata }] = [await as('alice').threads.get(threadId)]
    shown.push(JSON.stringify({ config, metadata }), JSON.stringify(state.metadata))
    const batch = await stage.http('POST', '/runs/batch', [{ assistant_id: 'echo', input: {} }], alice)
    const alone = await stage.http('POST', '/runs', { assistant_id: 'echo', input: {} }, alice)
    for (const text of [...shown, batch.text, alone.text]) {
      expect(text).not.toMatch(/langgraph_auth_|blue/)
      for (const mark of Object.values(marks)) expect(text).not.toContain(mark)
    }

    const next = await as('admin').runs.wait(threadId, 'echo', { input: {} })
    const { seen: nextSeen } = next as { seen: Record<string, unknown> }
    expect(nextSeen).toMatchObject({ langgraph_auth_user_id: 'admin', tone: 'calm' })
    expect(nextSeen).not.toHaveProperty('tenant')
    expect(nextSeen).not.toHaveProperty('x-forwarded-access-token')
  })

  describe("routes of the project's own", () => {
    test('are served beside ours, by their own rules, and their middleware sees ours', async () => {
      expect((await stage.http('GET', '/shop/hello')).json()).toEqual({ hello: 'world' })
      expect((await stage.http('GET', '/ok')).headers.get('x-served-by')).toBe('shop')
    })

    test('take webhooks by a path', async () => {
      const run = await as('alice').runs.create(null, 'echo', { input: {}, webhook: '/shop/told' })
      await vi.waitFor(async () => {
        const told = (await stage.http('GET', '/shop/told')).json<{ run_id: string; status: string }[]>()
        expect(told.find(({ run_id: id }) => id === run.run_id)?.status).toBe('success')
      }, WAIT)
    })
  })

  test('pages of listed origins may call, and others may not', async () => {
    const from = (origin: string) =>
      stage.http('POST', '/threads/search', {}, { origin, authorization: 'Bearer alice' })
    for (const origin of ['https://shop.example', 'https://eu.shop.example']) {
      const answer = await from(origin)
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, origin])
    }
    for (const origin of [
      'https://evil.example',
      'https://eu.shop.example.evil.org',
      'https://xshop.example',
    ])
      expect((await from(origin)).status, origin).toBe(403)
  })
})

onEmbedded((database) => {
  describe('Studio', () => {
    const stage = useStage(database, { HOLDPOINT_CONFIG: PROJECT, HOLDPOINT_STUDIO_AUTH: '1' })

    test('is a visitor of its own where the operator lets it in', async () => {
      const answer = await stage.http('POST', '/threads', {}, { 'x-auth-scheme': 'langsmith' })
      expect(answer.json()).toMatchObject({ metadata: { owner: 'langgraph-studio-user' } })
      expect((await stage.http('POST', '/threads', {})).status).toBe(401)
    })
  })
})
