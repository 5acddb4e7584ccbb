import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ScriptedModel, startScriptedModel } from '../support/scripted-model.ts'
import { startTestServer, type TestServer } from '../support/server.ts'
import { chromiumPath, openBrowser, openTab } from './browser.ts'
import { approvalNow, type HeldCall, holdMail } from './held-call.ts'

/** A page cannot choose its `Host`, but its owner can let a name point here. */
const REBOUND = 'rebound.example'

/** A run is given this long to appear that must not. */
const QUIET_MS = 1_500

const MAIL = { to: 'ops@example.com', subject: 'Not by strangers', body: 'Text.' }
const INPUT = { messages: [{ role: 'user', content: 'Hello' }] }

type Body = Record<string, unknown>

/** How a page can send a body to somewhere else. Each is run in the page and gives back what it could read. */
const WAYS = {
  'fetch of JSON': async ({ url, text }: Sent) => {
    const answer = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: text })
    return `${answer.status}`
  },
  'fetch of text/plain': async ({ url, text }: Sent) => `${(await fetch(url, { method: 'POST', body: text })).status}`,
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
  'form of text/plain': ({ url, name, value }: Sent) => submitForm({ url, name, value, enctype: 'text/plain' }),
  'urlencoded form': ({ url, text }: Sent) =>
    submitForm({ url, name: text, value: '', enctype: 'application/x-www-form-urlencoded' }),
}

interface Sent {
  url: string
  text: string
  /** The same JSON, split where a text/plain form puts its `=`. */
  name: string
  value: string
}

/** Given to the page beside the ways, which call it. */
declare function submitForm(form: { url: string; name: string; value: string; enctype: string }): Promise<string>

/** What else a page can do: each only asks, and asking for `cancel_on_disconnect` would cancel. */
const ASKS = {
  'fetch of an answer': async (url: string) => await (await fetch(url, { signal: AbortSignal.timeout(500) })).text(),
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

describe.skipIf(chromiumPath === null)('pages of other origins', () => {
  let browser: Browser
  let model: ScriptedModel
  let server: TestServer
  let foreign: Site
  let listed: Site

  beforeAll(async () => {
    ;[foreign, listed] = await Promise.all([startSite(), startSite()])
    model = await startScriptedModel([])
    server = await startTestServer({ modelUrl: model.url, env: { HOLDPOINT_CORS_ORIGINS: listed.url } })
    browser = await openBrowser(`--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`)
  })

  afterAll(async () => {
    await browser?.close()
    await server?.close()
    await model?.close()
    await Promise.all([foreign?.close(), listed?.close()])
  })

  test('neither start a run, nor answer a hold, nor decide it, nor read anything', async () => {
    const held = await holdMail(server, model, MAIL, { then: null })
    console.log('DBG held')
    const idle = (await server.client.threads.create()).thread_id
    console.log('DBG idle')
    const targets = Object.entries(targetsOf(held, idle))
    const page = await hostilePage(foreign)
    console.log('DBG page')

    const read: string[] = []
    for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
      for (const [what, { path, body }] of targets) {
        const seen = await send(page, way, path, body)
        if (seen !== '') read.push(`${what} by ${way}: ${seen}`)
      }
    }
    await sleep(QUIET_MS)

    expect(read).toEqual([])
    expect(await server.client.runs.list(idle)).toEqual([])
    expect(await server.client.runs.list(held.thread_id)).toHaveLength(1)
    expect((await approvalNow(server, held)).status).toBe('pending')
    expect(model.requests).toHaveLength(1)
  })

  for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
    // No browser can write JSON into an urlencoded form, and forms are the only other way to write.
    if (way === 'urlencoded form') continue
    test(`the same ${way} does start a run and answer a hold where the origin is listed`, async () => {
      const held = await holdMail(server, model, MAIL)
      const idle = (await server.client.threads.create()).thread_id
      const { start, resume } = targetsOf(held, idle)
      const page = await hostilePage(listed)
      await send(page, way, resume.path, resume.body)
      await expect.poll(async () => (await approvalNow(server, held)).status).toBe('rejected')
      await joinAll(held.thread_id)
      model.play([{ content: 'Hello.' }])
      await send(page, way, start.path, start.body)
      await expect.poll(async () => (await server.client.runs.list(idle)).length).toBe(1)
      await joinAll(idle)
    })
  }

  test('a listed origin decides with JSON, and with nothing that a form could send', async () => {
    const held = await holdMail(server, model, MAIL)
    const { decide } = targetsOf(held, held.thread_id)
    const page = await hostilePage(listed)
    for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
      if (way !== 'fetch of JSON') await send(page, way, decide.path, decide.body)
    }
    await sleep(QUIET_MS)
    expect((await approvalNow(server, held)).status).toBe('pending')
    expect(await send(page, 'fetch of JSON', decide.path, decide.body)).toBe('200')
    expect((await approvalNow(server, held)).status).toBe('rejected')
    await joinAll(held.thread_id)
  })

  test('the own page may start, read and decide', async () => {
    const held = await holdMail(server, model, MAIL)
    const { page } = await openTab(browser, `${server.url}/docs`)
    const { resume, decide } = targetsOf(held, held.thread_id)
    expect(await ask(page, 'fetch of an answer', '/approvals')).toContain(held.approval_id)
    expect(await send(page, 'fetch of JSON', decide.path, decide.body)).toBe('200')
    expect(await send(page, 'fetch of JSON', resume.path, resume.body)).toBe('422')
    await joinAll(held.thread_id)
  })

  for (const how of Object.keys(ASKS) as (keyof typeof ASKS)[]) {
    test(`a run is not cancelled by a ${how} that asks for it and leaves, nor is anything read`, async () => {
      const run = await startSlowRun()
      const page = await hostilePage(foreign)
      const seen: string[] = []
      for (const path of [...cancelling(run), '/approvals', '/openapi.json', `/threads/${run.thread_id}/state`]) {
        seen.push(await ask(page, how, path))
      }
      await page.context().close()
      await sleep(QUIET_MS)
      expect(seen.filter((text) => text !== '')).toEqual([])
      expect((await server.client.runs.get(run.thread_id, run.run_id)).status).toBe('running')
      run.finish()
      await server.client.runs.join(run.thread_id, run.run_id)
      expect((await server.client.runs.get(run.thread_id, run.run_id)).status).toBe('success')
    })
  }

  test('the same request of a listed origin does cancel', async () => {
    const run = await startSlowRun()
    const page = await hostilePage(listed)
    await ask(page, 'fetch of an answer', cancelling(run)[0] ?? '')
    await expect.poll(async () => (await server.client.runs.get(run.thread_id, run.run_id)).status).toBe('interrupted')
    run.finish()
  })

  test('a window that is opened on the request and closed does not cancel', async () => {
    const run = await startSlowRun()
    const page = await hostilePage(foreign)
    for (const path of cancelling(run)) {
      const [popup] = await Promise.all([
        page.waitForEvent('popup'),
        page.evaluate((url) => void window.open(url), `${server.url}${path}`),
      ])
      await popup.waitForTimeout(300)
      await popup.close()
    }
    await sleep(QUIET_MS)
    expect((await server.client.runs.get(run.thread_id, run.run_id)).status).toBe('running')
    run.finish()
    await server.client.runs.join(run.thread_id, run.run_id)
  })

  test('the console stands in no frame of another page', async () => {
    const page = await hostilePage(foreign)
    await ask(page, 'iframe', '/console')
    await expect.poll(() => page.frames().map((frame) => frame.url()).filter((url) => url.startsWith(server.url))).toEqual([])
  })

  test('a name that was made to point here is refused, whoever asks', async () => {
    const { port } = new URL(server.url)
    for (const host of [`${REBOUND}:${port}`, 'evil.example', `127.0.0.1.evil.example:${port}`, `localhost.evil.example`]) {
      expect(await statusFor(host, 'GET', '/approvals')).toBe(403)
      expect(await statusFor(host, 'POST', '/threads')).toBe(403)
    }
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`]) expect(await statusFor(host, 'GET', '/approvals')).toBe(200)

    const context = await browser.newContext()
    const page = await context.newPage()
    const answer = await page.goto(`http://${REBOUND}:${port}/console`)
    expect(answer?.status()).toBe(403)
    // From here the page and the server are of one origin, which is what rebinding is for.
    expect(await page.evaluate(async () => (await fetch('/approvals')).status)).toBe(403)
    expect(await page.evaluate(async () => (await fetch('/threads', { method: 'POST' })).status)).toBe(403)
  })

  /** A page that has nothing but a script's console. */
  async function hostilePage(site: Site): Promise<Page> {
    const { page } = await openTab(browser, site.url)
    return page
  }

  async function send(page: Page, way: keyof typeof WAYS, path: string, body: Body): Promise<string> {
    // A text/plain form writes name=value: an unused field at the end takes the `=`.
    const text = JSON.stringify({ ...body, metadata: { pad: '' } })
    const plain = way === 'form of text/plain' ? text : JSON.stringify(body)
    const sent: Sent = { url: `${server.url}${path}`, text: plain, name: text.slice(0, -3), value: text.slice(-3) }
    return await inPage(page, WAYS[way].toString(), sent)
  }

  function ask(page: Page, how: keyof typeof ASKS, path: string): Promise<string> {
    return inPage(page, ASKS[how].toString(), `${server.url}${path}`)
  }

  /** A run whose model does not answer before `finish()`. */
  async function startSlowRun() {
    const gate = Promise.withResolvers<void>()
    model.play([
      async () => {
        await gate.promise
        return { content: 'Hello.' }
      },
    ])
    const { thread_id } = await server.client.threads.create()
    const { run_id } = await server.client.runs.create(thread_id, 'react', { input: INPUT })
    await expect.poll(() => model.requests.length).toBe(1)
    return { thread_id, run_id, finish: () => gate.resolve() }
  }

  async function joinAll(threadId: string): Promise<void> {
    for (const { run_id } of await server.client.runs.list(threadId)) await server.client.runs.join(threadId, run_id)
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

function targetsOf(held: HeldCall, idle: string): Record<'start' | 'resume' | 'decide', { path: string; body: Body }> {
  return {
    start: { path: `/threads/${idle}/runs`, body: { assistant_id: 'react', input: INPUT } },
    resume: {
      path: `/threads/${held.thread_id}/runs`,
      body: { assistant_id: 'react', command: { resume: { type: 'reject' } } },
    },
    decide: { path: `/approvals/${held.approval_id}/decisions`, body: { type: 'reject' } },
  }
}

function cancelling({ thread_id, run_id }: { thread_id: string; run_id: string }): string[] {
  return ['join', 'stream'].map((end) => `/threads/${thread_id}/runs/${run_id}/${end}?cancel_on_disconnect=true`)
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

function submitFormInPage({ url, name, value, enctype }: { url: string; name: string; value: string; enctype: string }) {
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

interface Site {
  url: string
  close(): Promise<void>
}

/** Another origin: the same host, another port, no policy that would hold back its scripts. */
async function startSite(): Promise<Site> {
  const server = createServer((_, answer) => {
    answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>A page of somebody else</title><body></body>')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done())
        server.closeAllConnections()
      }),
  }
}
