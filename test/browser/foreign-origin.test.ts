import { request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ChatRequest } from '../../models/chat-protocol/request.ts'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { chromiumPath, useBrowser } from './browser.ts'
import {
  approvalNow,
  first,
  type HeldCall,
  holdMail,
  patientClient,
  startAndStop,
  TASK,
} from './held-call.ts'
import { type Site, startSite } from './site.ts'

/** A page cannot choose its `Host`, but its owner can let a name point here. */
const REBOUND = 'rebound.example'

/** A run is given this long to appear that must not. */
const QUIET_MS = 1_500
/** And this long that must. */
const WITHIN = { timeout: 15_000 }

const MAIL = { to: 'ops@example.com', subject: 'Not by strangers', body: 'Text.' }
const PAGE = '<!doctype html><title>A page of somebody else</title><body></body>'
const INPUT = { messages: [{ role: 'user', content: 'Hello' }] }

interface Sent {
  url: string
  text: string
  /** The same JSON with a field more, split where a text/plain form puts its `=`. */
  name: string
  value: string
}

type Body = Record<string, unknown>

/** How a page can send a body to somewhere else. Each is run in the page and gives back what it could read. */
const WAYS = {
  'fetch of JSON': async ({ url, text }: Sent) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: text,
    })
    return `${answer.status}`
  },
  'fetch of text/plain': async ({ url, text }: Sent) =>
    `${(await fetch(url, { method: 'POST', body: text })).status}`,
  'fetch without CORS': async ({ url, text }: Sent) =>
    (await (await fetch(url, { method: 'POST', mode: 'no-cors', body: text, keepalive: true })).text()) || '',
  XMLHttpRequest: ({ url, text }: Sent) =>
    new Promise<string>((done) => {
      const request = new XMLHttpRequest()
      request.open('POST', url)
      request.onloadend = () => done(request.status === 0 ? '' : `${request.status}`)
      request.send(text)
    }),
  sendBeacon: async ({ url, text }: Sent) => {
    navigator.sendBeacon(url, text)
    return ''
  },
  'form of text/plain': ({ url, name, value }: Sent) =>
    submitForm({ url, name, value, enctype: 'text/plain' }),
  'urlencoded form': ({ url, text }: Sent) =>
    submitForm({ url, name: text, value: '', enctype: 'application/x-www-form-urlencoded' }),
}

/** Given to the page beside the ways, which call it. */
declare function submitForm(form: {
  url: string
  name: string
  value: string
  enctype: string
}): Promise<string>

/** What else a page can do: each only asks, and asking for `cancel_on_disconnect` would cancel. */
const ASKS = {
  'fetch of an answer': async (url: string) =>
    await (await fetch(url, { signal: AbortSignal.timeout(500) })).text(),
  'fetch without CORS': async (url: string) =>
    await (await fetch(url, { mode: 'no-cors', signal: AbortSignal.timeout(500) })).text(),
  EventSource: (url: string) =>
    new Promise<string>((done) => {
      const source = new EventSource(url)
      source.onopen = () => done('opened')
      source.onerror = () => done('')
      setTimeout(() => (source.close(), done('')), 500)
    }),
  WebSocket: (url: string) =>
    new Promise<string>((done) => {
      const socket = new WebSocket(url.replace('http', 'ws'))
      socket.onopen = () => done('opened')
      socket.onclose = () => done('')
      setTimeout(() => (socket.close(), done('')), 500)
    }),
  img: (url: string) => insert('img', url),
  script: (url: string) => insert('script', url),
  iframe: (url: string) => insert('iframe', url),
}

/** Given to the page beside the asks, which call it. */
declare function insert(tag: 'img' | 'script' | 'iframe', url: string): Promise<string>

type Way = keyof typeof WAYS
type Ask = keyof typeof ASKS
const ways = Object.keys(WAYS) as Way[]
const asks = Object.keys(ASKS) as Ask[]

/** No browser writes JSON into an urlencoded form, whoever it belongs to. */
const working = ways.filter((way) => way !== 'urlencoded form')

describe.skipIf(chromiumPath === null)('pages of other origins', () => {
  const openTab = useBrowser(`--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`)
  let model: ScriptedModel
  let server: TestServer
  let foreign: Site
  let listed: Site

  beforeAll(async () => {
    ;[foreign, listed] = await Promise.all([startSite(PAGE), startSite(PAGE)])
    model = await startScriptedModel([])
    server = await startTestServer({ modelUrl: model.url, env: { HOLDPOINT_CORS_ORIGINS: listed.url } })
  })

  afterAll(async () => {
    await server?.close()
    await model?.close()
    await Promise.all([foreign?.close(), listed?.close()])
  })

  test('neither start a run, nor answer a hold, nor decide it, nor read what became of it', async () => {
    const held = await holdMail(server, model, MAIL, { afterwards: null })
    const idle = await emptyThread()
    const { page } = await openTab(foreign.url)
    const read = await Promise.all(
      ways.flatMap((way) =>
        Object.values(targetsOf(held, idle)).map(
          async ({ path, body }) => `${await send(page, way, path, body)}`,
        ),
      ),
    )
    await sleep(QUIET_MS)

    expect(read.filter((text) => text !== '')).toEqual([])
    expect(await server.client.runs.list(idle)).toEqual([])
    expect(await server.client.runs.list(held.thread_id)).toHaveLength(1)
    expect((await approvalNow(server, held)).status).toBe('pending')
    expect(model.requests).toHaveLength(1)
  })

  test('the very same requests of a listed origin do start runs and answer holds', async () => {
    model.play([
      ...working.map(() => ({ match: isAsked(TASK), toolCalls: [{ name: 'send_email', args: MAIL }] })),
      ...working.map(() => ({ match: (request: ChatRequest) => !isAsked(TASK)(request), content: 'Done.' })),
      ...working.map(() => ({ match: (request: ChatRequest) => !isAsked(TASK)(request), content: 'Done.' })),
    ])
    const { page } = await openTab(listed.url)
    for (const way of working) {
      const held = first(await startAndStop(server))
      const idle = await emptyThread()
      const { start, resume } = targetsOf(held, idle)
      await send(page, way, resume.path, resume.body)
      await send(page, way, start.path, start.body)
      await expect
        .poll(
          async () => [
            way,
            (await approvalNow(server, held)).status,
            (await server.client.runs.list(idle)).length,
          ],
          WITHIN,
        )
        .toEqual([way, 'rejected', 1])
      await joinAll(held.thread_id, idle)
    }
  })

  test('a listed origin decides with JSON, and with nothing that a form could send', async () => {
    const held = await holdMail(server, model, MAIL)
    const { decide } = targetsOf(held, held.thread_id)
    const { page } = await openTab(listed.url)
    const others = ways.filter((way) => way !== 'fetch of JSON')
    await Promise.all(others.map((way) => send(page, way, decide.path, decide.body)))
    await sleep(QUIET_MS)
    expect((await approvalNow(server, held)).status).toBe('pending')
    expect(await send(page, 'fetch of JSON', decide.path, decide.body)).toBe('200')
    expect((await approvalNow(server, held)).status).toBe('rejected')
    await joinAll(held.thread_id)
  })

  test('the own page reads and decides', async () => {
    const held = await holdMail(server, model, MAIL)
    const { page } = await openTab(`${server.url}/docs`)
    const { decide } = targetsOf(held, held.thread_id)
    expect(await ask(page, 'fetch of an answer', '/approvals')).toContain(held.approval_id)
    expect(await send(page, 'fetch of JSON', decide.path, decide.body)).toBe('200')
    await joinAll(held.thread_id)
  })

  test('cancel no run by asking for it and going away, and read nothing', async () => {
    const { page } = await openTab(foreign.url)
    const { runs, finish } = await startSlowRuns([...asks, 'window'])
    const read = await Promise.all(
      asks.map(async (how) => {
        const paths = [...cancelling(runs[how]), '/approvals', `/threads/${runs[how].thread_id}/state`]
        return [how, await Promise.all(paths.map((path) => ask(page, how, path)))]
      }),
    )
    for (const path of cancelling(runs.window)) await openAndClose(page, path)
    await page.context().close()
    await sleep(QUIET_MS)

    expect(await statusesOf(runs)).toEqual(all(runs, 'running'))
    expect(read).toEqual(asks.map((how) => [how, ['', '', '', '']]))
    await finish()
    expect(await statusesOf(runs)).toEqual(all(runs, 'success'))
  })

  test('the same requests of a listed origin do cancel and read', async () => {
    const { page } = await openTab(listed.url)
    const { runs, finish } = await startSlowRuns(['fetch of an answer', 'EventSource'])
    const [join = '', stream = ''] = cancelling(runs['fetch of an answer'])
    await ask(page, 'fetch of an answer', join)
    expect(await ask(page, 'EventSource', stream.replace(/\?.*/, ''))).toBe('opened')
    await ask(page, 'EventSource', cancelling(runs.EventSource)[1] ?? '')
    await expect.poll(() => statusesOf(runs), WITHIN).toEqual(all(runs, 'interrupted'))
    expect(await ask(page, 'fetch of an answer', '/approvals')).toMatch(/^\[/)
    await finish()
  })

  test('the console stands in no frame of another page', async () => {
    const { page } = await openTab(foreign.url)
    await ask(page, 'iframe', '/console')
    await expect
      .poll(() =>
        page
          .frames()
          .map((frame) => frame.url())
          .filter((url) => url.startsWith(server.url)),
      )
      .toEqual([])
  })

  test('a name that was made to point here is refused, whoever asks', async () => {
    const { port } = new URL(server.url)
    for (const host of [
      `${REBOUND}:${port}`,
      'evil.example',
      `127.0.0.1.evil.example:${port}`,
      `localhost.evil.example`,
    ]) {
      expect(await statusFor(host, 'GET', '/approvals')).toBe(403)
      expect(await statusFor(host, 'POST', '/threads')).toBe(403)
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`])
      expect(await statusFor(host, 'GET', '/approvals')).toBe(200)

    const { page } = await openTab('about:blank')
    const answer = await page.goto(`http://${REBOUND}:${port}/console`)
    expect(answer?.status()).toBe(403)
    // From here the page and the server are of one origin, which is what rebinding is for.
    expect(await page.evaluate(async () => (await fetch('/approvals')).status)).toBe(403)
    expect(await page.evaluate(async () => (await fetch('/threads', { method: 'POST' })).status)).toBe(403)
  })

  async function emptyThread(): Promise<string> {
    return (await server.client.threads.create()).thread_id
  }

  async function send(page: Page, way: Way, path: string, body: Body): Promise<string> {
    // A text/plain form writes name=value: an unused field at the end takes the `=`.
    const padded = JSON.stringify({ ...body, metadata: { pad: '' } })
    const sent: Sent = {
      url: `${server.url}${path}`,
      text: JSON.stringify(body),
      name: padded.slice(0, -3),
      value: padded.slice(-3),
    }
    return await inPage(page, WAYS[way].toString(), sent)
  }

  function ask(page: Page, how: Ask, path: string): Promise<string> {
    return inPage(page, ASKS[how].toString(), `${server.url}${path}`)
  }

  async function openAndClose(page: Page, path: string): Promise<void> {
    const [popup] = await Promise.all([
      page.waitForEvent('popup'),
      page.evaluate((url) => void window.open(url), `${server.url}${path}`),
    ])
    await sleep(300)
    await popup.close()
  }

  /** One run for each name, whose model does not answer before `finish()`. */
  async function startSlowRuns<Name extends string>(names: Name[]) {
    const gate = Promise.withResolvers<void>()
    const answer = async () => {
      await gate.promise
      return { content: 'Hello.' }
    }
    model.play(names.map(() => answer))
    const started = names.map(async (name) => {
      const thread_id = await emptyThread()
      const { run_id } = await patientClient(server).runs.create(thread_id, 'react', { input: INPUT })
      return [name, { thread_id, run_id }] as const
    })
    const runs = Object.fromEntries(await Promise.all(started)) as Record<Name, RunPlace>
    await expect.poll(() => model.requests.length, WITHIN).toBe(names.length)
    return {
      runs,
      async finish() {
        gate.resolve()
        await joinAll(...Object.values<RunPlace>(runs).map(({ thread_id }) => thread_id))
      },
    }
  }

  async function statusesOf(runs: Record<string, RunPlace>): Promise<Record<string, string>> {
    const statuses = Object.entries(runs).map(async ([name, { thread_id, run_id }]) => {
      return [name, (await server.client.runs.get(thread_id, run_id)).status] as const
    })
    return Object.fromEntries(await Promise.all(statuses))
  }

  async function joinAll(...threadIds: string[]): Promise<void> {
    for (const threadId of threadIds) {
      for (const { run_id } of await server.client.runs.list(threadId))
        await server.client.runs.join(threadId, run_id)
    }
  }

  function statusFor(host: string, method: string, path: string): Promise<number> {
    return new Promise((done, fail) => {
      const asked = httpRequest(`${server.url}${path}`, { method, headers: { host } }, (answer) => {
        answer.resume()
        done(answer.statusCode ?? 0)
      })
      asked.once('error', fail).end()
    })
  }
})

function targetsOf(
  held: HeldCall,
  idle: string,
): Record<'start' | 'resume' | 'decide', { path: string; body: Body }> {
  return {
    start: { path: `/threads/${idle}/runs`, body: { assistant_id: 'react', input: INPUT } },
    resume: {
      path: `/threads/${held.thread_id}/runs`,
      body: { assistant_id: 'react', command: { resume: { type: 'reject' } } },
    },
    decide: { path: `/approvals/${held.approval_id}/decisions`, body: { type: 'reject' } },
  }
}

interface RunPlace {
  thread_id: string
  run_id: string
}

function all(runs: Record<string, RunPlace>, status: string): Record<string, string> {
  return Object.fromEntries(Object.keys(runs).map((name) => [name, status]))
}

function isAsked(words: string) {
  return ({ messages }: ChatRequest) =>
    messages.at(-1)?.role === 'user' && JSON.stringify(messages.at(-1)).includes(words)
}

function cancelling({ thread_id, run_id }: RunPlace): string[] {
  return ['join', 'stream'].map(
    (end) => `/threads/${thread_id}/runs/${run_id}/${end}?cancel_on_disconnect=true`,
  )
}

/** Runs one of the functions above in the page. What fails there could read nothing. */
async function inPage(page: Page, source: string, argument: unknown): Promise<string> {
  const script = `(async () => {
    const submitForm = ${submitFormInPage.toString()}
    const insert = ${insertInPage.toString()}
    try { return await (${source})(${JSON.stringify(argument)}) } catch { return '' }
  })()`
  return await page.evaluate<string>(script)
}

function submitFormInPage({
  url,
  name,
  value,
  enctype,
}: {
  url: string
  name: string
  value: string
  enctype: string
}) {
  return new Promise<string>((done) => {
    const frame = document.createElement('iframe')
    frame.name = `frame-${Math.random()}`
    const form = document.createElement('form')
    Object.assign(form, { action: url, method: 'post', enctype, target: frame.name })
    const field = document.createElement('input')
    Object.assign(field, { type: 'hidden', name, value })
    form.append(field)
    document.body.append(frame, form)
    const end = () => done(frame.contentDocument?.body?.textContent ?? '')
    setTimeout(() => {
      frame.addEventListener('load', end)
      setTimeout(end, 800)
      form.submit()
    }, 50)
  })
}

/** Puts an element there, waits for it a moment and takes it away again, which ends its request. */
function insertInPage(tag: 'img' | 'script' | 'iframe', url: string) {
  return new Promise<string>((done) => {
    const element = document.createElement(tag)
    element.src = url
    element.onload = () => tag !== 'iframe' && done('loaded')
    document.body.append(element)
    setTimeout(() => {
      const read = element instanceof HTMLIFrameElement ? element.contentDocument?.body?.textContent : ''
      element.remove()
      done(read ?? '')
    }, 500)
  })
}
