import { request } from 'node:http'
import { expect, test } from 'vitest'
import { newId } from '../../runtime/ids.ts'
import { onEachDatabase } from '../support/each-database.ts'
import { type Answer, mailTo, moment, says, untilRun, untilThread, useStage } from '../support/stage.ts'

interface Values {
  messages: { type: string; content: string }[]
}

onEachDatabase((database) => {
  const stage = useStage(database)

  test('runs of one thread are done one after the other, in the order in which they came', async () => {
    const busy = slowAnswer('First.')
    stage.play(busy.step, { content: 'Second.' }, { content: 'Third.' })
    const threadId = await stage.thread()
    const first = await create(threadId, { input: says('1') })
    await busy.asked
    const second = await create(threadId, { input: says('2') })
    const third = await create(threadId, { input: says('3'), multitask_strategy: 'enqueue' })
    expect([await status(threadId, first), await status(threadId, second)]).toEqual(['running', 'pending'])
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'busy' })
    busy.answer()
    const values = (await stage.client.runs.join(threadId, third)) as unknown as Values
    expect(values.messages.map(({ content }) => content)).toEqual([
      '1',
      'First.',
      '2',
      'Second.',
      '3',
      'Third.',
    ])
    const runs = await stage.client.runs.list(threadId)
    expect(runs.map(({ run_id }) => run_id)).toEqual([third, second, first])
    expect(runs.map((run) => run.status)).toEqual(['success', 'success', 'success'])
  })

  test('a run that says reject is refused on a busy thread, and nothing is queued', async () => {
    const busy = slowAnswer('First.')
    stage.play(busy.step)
    const threadId = await stage.thread()
    const first = await create(threadId, { input: says('1') })
    await busy.asked
    const answer = await post(threadId, { input: says('2'), multitask_strategy: 'reject' })
    expect(answer).toMatchObject({ status: 409 })
    expect(answer.text).toContain('has a run that has not ended')
    busy.answer()
    await stage.client.runs.join(threadId, first)
    expect(await stage.client.runs.list(threadId)).toHaveLength(1)
  })

  test('a run that says interrupt ends the running one where it is, and goes on from there', async () => {
    const busy = slowAnswer('Never said.')
    stage.play({ toolCalls: [{ name: 'write_file', args: { path: 'a', content: 'x' } }] }, busy.step, {
      content: 'Second.',
    })
    const threadId = await stage.thread()
    const first = await create(threadId, { input: says('1') })
    await busy.asked
    const second = await create(threadId, { input: says('2'), multitask_strategy: 'interrupt' })
    const values = (await stage.client.runs.join(threadId, second)) as unknown as Values
    expect(await status(threadId, first)).toBe('interrupted')
    expect(values.messages.map(({ type }) => type)).toEqual(['human', 'ai', 'tool', 'human', 'ai'])
    busy.answer()
  })

  test('a run that says rollback takes the running one away, with what it wrote', async () => {
    const busy = slowAnswer('Never said.')
    stage.play(
      { content: 'Kept.' },
      { toolCalls: [{ name: 'write_file', args: { path: 'a', content: 'x' } }] },
      busy.step,
      { content: 'Second.' },
    )
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('0') })
    const first = await create(threadId, { input: says('1') })
    await busy.asked
    const second = await create(threadId, { input: says('2'), multitask_strategy: 'rollback' })
    const values = (await stage.client.runs.join(threadId, second)) as unknown as Values
    expect(values.messages.map(({ content }) => content)).toEqual(['0', 'Kept.', '2', 'Second.'])
    expect(await stage.http('GET', `/threads/${threadId}/runs/${first}`)).toMatchObject({ status: 404 })
    const history = await stage.client.threads.getHistory(threadId, { limit: 100 })
    expect(history.filter(({ metadata }) => metadata?.['run_id'] === first)).toEqual([])
    busy.answer()
  })

  test('a cancelled run answers at once, ends as interrupted, and leaves the thread idle', async () => {
    const busy = slowAnswer('Never said.')
    stage.play(busy.step, { content: 'Next.' })
    const threadId = await stage.thread()
    const runId = await create(threadId, { input: says('1') })
    await busy.asked
    const joined = stage.http('GET', `/threads/${threadId}/runs/${runId}/join`)
    expect(await stage.http('POST', `/threads/${threadId}/runs/${runId}/cancel`)).toMatchObject({
      status: 202,
    })
    await untilRun(stage.client, threadId, runId, 'interrupted')
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
    expect((await joined).status).toBe(200)
    // Cancelled again, and too late: nothing changes.
    expect(await stage.http('POST', `/threads/${threadId}/runs/${runId}/cancel?wait=1`)).toMatchObject({
      status: 204,
    })
    expect(await status(threadId, runId)).toBe('interrupted')
    const values = (await stage.client.runs.wait(threadId, 'react', {
      input: says('2'),
    })) as unknown as Values
    expect(values.messages.at(-1)?.content).toBe('Next.')
    busy.answer()
  })

  test('a cancel that waits answers when the run has ended, and a rollback leaves nothing of it', async () => {
    const busy = slowAnswer('Never said.')
    const again = slowAnswer('Never said.')
    stage.play(busy.step, again.step)
    const threadId = await stage.thread()
    const first = await create(threadId, { input: says('1') })
    await busy.asked
    const waited = await stage.http('POST', `/threads/${threadId}/runs/${first}/cancel?wait=1`)
    expect(waited).toMatchObject({ status: 204, text: '' })
    expect(await status(threadId, first)).toBe('interrupted')
    const before = await stage.client.threads.getState(threadId)

    const second = await create(threadId, { input: says('2') })
    await again.asked
    const path = `/threads/${threadId}/runs/${second}`
    expect(await stage.http('POST', `${path}/cancel?wait=1&action=rollback`)).toMatchObject({ status: 204 })
    expect(await stage.http('GET', path)).toMatchObject({ status: 404 })
    expect(await stage.client.threads.getState(threadId)).toEqual(before)
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
    busy.answer()
    again.answer()
  })

  test('a delayed run that is cancelled never begins', async () => {
    const threadId = await stage.thread()
    const runId = await create(threadId, { input: says('Later.'), after_seconds: 3_600 })
    expect(await status(threadId, runId)).toBe('pending')
    await stage.client.runs.cancel(threadId, runId, true)
    expect(await status(threadId, runId)).toBe('interrupted')
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
    expect(stage.model.requests).toEqual([])
  })

  test('a reader who comes back with Last-Event-ID gets what is missing, each event once', async () => {
    const busy = slowAnswer('And that is all.')
    stage.play({ toolCalls: [{ name: 'list_files', args: {} }] }, busy.step)
    const threadId = await stage.thread()
    const runId = await create(threadId, { input: says('List.'), stream_mode: ['updates', 'custom'] })
    await busy.asked
    const path = `/threads/${threadId}/runs/${runId}/stream`
    const early = await readEvents(path, '-1', 3)
    const rest = readEvents(path, early.at(-1)?.id ?? '')
    busy.answer()
    const all = [...early, ...(await rest)]
    expect(all.map(({ id }) => Number(id))).toEqual(all.map((_, index) => index))
    expect(all[0]?.event).toBe('metadata')
    expect(all.some(({ event }) => event === 'end')).toBe(false)
    // Joined after its end, it is the same again: in whole, from the middle, and from behind the last.
    expect(await readEvents(path, '-1')).toEqual(all)
    expect(await readEvents(path)).toEqual(all)
    expect(await readEvents(path, '1')).toEqual(all.slice(2))
    expect(await readEvents(path, String(all.length))).toEqual([])
    for (const id of ['x', '1.5', '-2', '99999999999'])
      expect(await stage.http('GET', path, undefined, { 'last-event-id': id })).toMatchObject({ status: 422 })
  })

  test('two readers of one run each get all of its events', async () => {
    const busy = slowAnswer('Done.')
    stage.play(busy.step)
    const threadId = await stage.thread()
    const runId = await create(threadId, { input: says('Go.'), stream_mode: 'values' })
    const path = `/threads/${threadId}/runs/${runId}/stream`
    const readers = Promise.all([readEvents(path), readEvents(path)])
    await busy.asked
    busy.answer()
    const [one, two] = await readers
    expect(one).toEqual(two)
    expect(one?.at(-1)?.event).toBe('values')
  })

  test('a client that goes away leaves the run alone, or cancels it where it said so', async () => {
    for (const [on_disconnect, expected] of [
      ['continue', 'success'],
      ['cancel', 'interrupted'],
    ] as const) {
      const busy = slowAnswer('Done.')
      stage.play(busy.step)
      const threadId = await stage.thread()
      const gone = new AbortController()
      const response = await fetch(`${stage.url}/threads/${threadId}/runs/stream`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ assistant_id: 'react', input: says('Go.'), on_disconnect }),
        signal: gone.signal,
      })
      await busy.asked
      gone.abort()
      const runId = (response.headers.get('content-location') ?? '').split('/').at(-1) ?? ''
      if (on_disconnect === 'continue') busy.answer()
      await untilRun(stage.client, threadId, runId, expected)
      busy.answer()
    }
  })

  test.each(['wait', 'join'])(
    'a client that goes away before its answer has begun cancels its run (%s)',
    async (way) => {
      const busy = slowAnswer('Done.')
      stage.play(busy.step)
      const threadId = await stage.thread()
      const begun = way === 'join' ? await create(threadId, { input: says('Go.') }) : undefined
      const asking =
        begun === undefined
          ? request(`${stage.url}/threads/${threadId}/runs/wait`, {
              method: 'POST',
              headers: { 'content-type': 'application/json' },
            })
          : request(`${stage.url}/threads/${threadId}/runs/${begun}/join?cancel_on_disconnect=true`)
      asking.on('error', () => {})
      if (begun === undefined)
        asking.write(JSON.stringify({ assistant_id: 'react', input: says('Go.'), on_disconnect: 'cancel' }))
      asking.end()
      await busy.asked
      asking.destroy()
      const [run] = await stage.client.runs.list(threadId)
      await untilRun(stage.client, threadId, run?.run_id ?? '', 'interrupted')
      busy.answer()
    },
  )

  test('a client that waits gets line breaks while nothing happens, and the values at the end', async () => {
    const busy = slowAnswer('At last.')
    stage.play(busy.step)
    const threadId = await stage.thread()
    let before = ''
    const body = await new Promise<string>((resolve, reject) => {
      const asking = request(
        `${stage.url}/threads/${threadId}/runs/wait`,
        { method: 'POST', headers: { 'content-type': 'application/json' } },
        (response) => {
          expect(response.statusCode).toBe(200)
          expect(response.headers['content-location']).toMatch(`/threads/${threadId}/runs/`)
          let text = ''
          response.setEncoding('utf8').on('data', (piece: string) => {
            if (text === '') {
              before = piece
              busy.answer()
            }
            text += piece
          })
          response.on('end', () => resolve(text)).on('error', reject)
        },
      )
      asking.on('error', reject).end(JSON.stringify({ assistant_id: 'react', input: says('Wait.') }))
    })
    expect(before).toBe('\n')
    expect((JSON.parse(body) as Values).messages.at(-1)?.content).toBe('At last.')
  })

  test('a failed run answers those who wait with 200 and __error__', async () => {
    stage.play({ error: 400, message: 'Bad words' })
    const threadId = await stage.thread()
    const answer = await stage.http('POST', `/threads/${threadId}/runs/wait`, {
      assistant_id: 'react',
      input: says('x'),
    })
    expect(answer.status).toBe(200)
    expect(answer.json()).toMatchObject({ __error__: { error: 'ModelError' } })
    expect(answer.text).toContain('Bad words')
    const [run] = await stage.client.runs.list(threadId)
    const joined = await stage.http('GET', `/threads/${threadId}/runs/${run?.run_id}/join`)
    expect(joined.text.trim()).toBe(answer.text.trim())
  })

  test('a stream says where it can be rejoined, and every event is one of the modes that were asked for', async () => {
    stage.play({ content: 'Hello.' })
    const threadId = await stage.thread()
    const response = await fetch(`${stage.url}/threads/${threadId}/runs/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        assistant_id: 'react',
        input: says('Hi.'),
        stream_mode: ['messages', 'debug', 'tasks', 'checkpoints'],
      }),
    })
    expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/)
    const text = await response.text()
    const kinds = new Set([...text.matchAll(/^event: (.+)$/gm)].map(([, kind]) => String(kind)))
    expect([...kinds].toSorted()).toEqual([
      'checkpoints',
      'debug',
      'messages/complete',
      'messages/metadata',
      'messages/partial',
      'metadata',
      'tasks',
    ])
    const path = response.headers.get('content-location') ?? ''
    expect(response.headers.get('location')).toBe(`${path}/stream`)
    // No service, secret or internal of LangGraph's is in any of it.
    expect(/"__pregel_(?!pull|push)|"services"|apiKey|checkpointer/.test(text)).toBe(false)
  })

  test('lists of runs and threads come in pages, with where the next one begins', async () => {
    stage.play({ content: '1' }, { content: '2' }, { content: '3' })
    const label = newId()
    const { thread_id: threadId } = await stage.client.threads.create({ metadata: { label } })
    const runs: string[] = []
    for (const text of ['a', 'b', 'c']) {
      runs.push(await create(threadId, { input: says(text) }))
      await stage.client.runs.join(threadId, runs.at(-1) ?? '')
    }
    const page = await stage.http('GET', `/threads/${threadId}/runs?limit=2&offset=0`)
    expect(page.json<{ run_id: string }[]>().map(({ run_id }) => run_id)).toEqual([runs[2], runs[1]])
    expect(pagesOf(page)).toEqual({ total: '3', next: '2' })
    const last = await stage.http('GET', `/threads/${threadId}/runs?limit=2&offset=2`)
    expect(last.json<unknown[]>()).toHaveLength(1)
    expect(pagesOf(last)).toEqual({ total: '3', next: null })
    expect(await stage.client.runs.list(threadId, { status: 'error' })).toEqual([])

    const threads = await stage.http('POST', '/threads/search', { metadata: { label }, limit: 1 })
    expect(threads.json()).toMatchObject([{ thread_id: threadId, metadata: { label, graph_id: 'react' } }])
    expect(pagesOf(threads)).toEqual({ total: '1', next: null })
    const all = await stage.http('POST', '/threads/search', { limit: 1 })
    expect(Number(pagesOf(all).total)).toBeGreaterThan(1)
    expect(pagesOf(all).next).toBe('1')
    const assistants = await stage.http('POST', '/assistants/search', { limit: 2 })
    expect(pagesOf(assistants)).toEqual({ total: '3', next: '2' })
  })

  test('an ended run can be deleted, a running one cannot', async () => {
    const busy = slowAnswer('Done.')
    stage.play(busy.step)
    const threadId = await stage.thread()
    const runId = await create(threadId, { input: says('Go.') })
    await busy.asked
    const path = `/threads/${threadId}/runs/${runId}`
    expect(await stage.http('DELETE', path)).toMatchObject({ status: 409 })
    busy.answer()
    await stage.client.runs.join(threadId, runId)
    expect(await stage.http('DELETE', path)).toMatchObject({ status: 204 })
    expect(await stage.http('GET', `${path}/stream`)).toMatchObject({ status: 404 })
    expect((await stage.client.threads.getState<Values>(threadId)).values.messages).toHaveLength(2)
  })

  test("a thread's files are its own, to agents and to clients, and go with it", async () => {
    const [mine, other] = [await stage.thread(), await stage.thread()]
    const bytes = Uint8Array.from({ length: 256 }, (_, n) => n)
    const put = await fetch(`${stage.url}/threads/${mine}/files/data/raw.bin`, { method: 'PUT', body: bytes })
    expect(put.status).toBe(200)
    await stage.http('PUT', `/threads/${mine}/files/secret.txt`, 'only mine')
    const got = await fetch(`${stage.url}/threads/${mine}/files/data/raw.bin`)
    expect([...new Uint8Array(await got.arrayBuffer())]).toEqual([...bytes])
    expect(got.headers.get('content-disposition')).toBe('attachment')
    expect(got.headers.get('x-content-type-options')).toBe('nosniff')

    expect((await stage.http('GET', `/threads/${other}/files`)).json()).toEqual([])
    expect(await stage.http('GET', `/threads/${other}/files/secret.txt`)).toMatchObject({ status: 404 })
    for (const path of [
      `..%2F${mine}%2Fsecret.txt`,
      `..%2f..%2fworkspaces%2f${mine}%2fsecret.txt`,
      `%2e%2e%2f${mine}%2fsecret.txt`,
      `a%2F..%2F..%2F${mine}%2Fsecret.txt`,
      `%2Fetc%2Fpasswd`,
      `..%5C${mine}%5Csecret.txt`,
    ]) {
      const answer = await stage.http('GET', `/threads/${other}/files/${path}`)
      expect([path, answer.status]).toEqual([path, expect.toBeOneOf([404, 422])])
      expect(answer.text).not.toContain('only mine')
    }
    const tries = [`../${mine}/secret.txt`, `../../workspaces/${mine}/secret.txt`, '/etc/passwd']
    stage.play(
      { toolCalls: tries.map((path) => ({ name: 'read_file', args: { path } })) },
      { content: 'No.' },
    )
    const values = (await stage.client.runs.wait(other, 'react', {
      input: says('Read.'),
    })) as unknown as Values
    const answers = values.messages.filter(({ type }) => type === 'tool')
    expect(answers).toHaveLength(3)
    for (const { content } of answers) {
      expect(content).toContain('"status":"error"')
      expect(content).not.toContain('only mine')
    }
    expect(await stage.http('DELETE', `/threads/${mine}`)).toMatchObject({ status: 204 })
    expect(await stage.http('GET', `/threads/${mine}/files`)).toMatchObject({ status: 404 })
    expect(await stage.http('GET', `/threads/${mine}/files/secret.txt`)).toMatchObject({ status: 404 })
  })

  test('a run on a thread that is made with it', async () => {
    stage.play({ content: 'New.' })
    const threadId = newId()
    expect(await post(threadId, { input: says('x') })).toMatchObject({ status: 404 })
    const runId = await create(threadId, { input: says('x'), if_not_exists: 'create' })
    await stage.client.runs.join(threadId, runId)
    await untilThread(stage.client, threadId, 'idle')
  })

  test('interrupt_before pauses as an interrupted thread, and a run without input goes on', async () => {
    stage.play({ toolCalls: [{ name: 'list_files', args: {} }] }, { content: 'Listed.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('List.'), interruptBefore: ['tools'] })
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'interrupted', interrupts: {} })
    expect((await stage.client.threads.getState(threadId)).next).toEqual(['tools'])
    const values = (await stage.client.runs.wait(threadId, 'react', { input: null })) as unknown as Values
    expect(values.messages.at(-1)?.content).toBe('Listed.')
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'idle' })
  })

  test('a hold and a queued run: the queued one waits, and is done after the decision', async () => {
    const subject = newId()
    stage.play({ toolCalls: [mailTo(subject)] }, { content: 'Mailed.' }, { content: 'And now this.' })
    const threadId = await stage.thread()
    await stage.client.runs.wait(threadId, 'react', { input: says('Mail.') })
    const queued = await create(threadId, { input: says('Then?') })
    expect(await stage.client.threads.get(threadId)).toMatchObject({ status: 'interrupted' })
    const rejected = await post(threadId, { input: says('No?'), multitask_strategy: 'reject' })
    expect(rejected).toMatchObject({ status: 409 })
    const [hold] = await stage.holds(threadId)
    await stage.decide(hold?.approval_id ?? '', { type: 'approve' })
    const values = (await stage.client.runs.join(threadId, queued)) as unknown as Values
    expect(values.messages.map(({ type }) => type)).toEqual(['human', 'ai', 'tool', 'ai', 'human', 'ai'])
  })

  function post(threadId: string, body: object): Promise<Answer> {
    return stage.http('POST', `/threads/${threadId}/runs`, { assistant_id: 'react', ...body })
  }

  async function create(threadId: string, body: object): Promise<string> {
    const answer = await post(threadId, body)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-location')).toContain(`/threads/${threadId}/runs/`)
    return answer.json<{ run_id: string }>().run_id
  }

  async function status(threadId: string, runId: string): Promise<string> {
    return (await stage.client.runs.get(threadId, runId)).status
  }

  /** The events of a stream, or the first `count`, after which the reader goes away. */
  async function readEvents(path: string, lastEventId?: string, count = Infinity) {
    const response = await fetch(`${stage.url}${path}`, {
      headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
    })
    const events: { event: string; data: string; id: string }[] = []
    let text = ''
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece
      const frames = text.split('\n\n')
      text = frames.pop() ?? ''
      for (const frame of frames) {
        const [, event = '', data = '', id = ''] = /^event: (.*)\ndata: (.*)\nid: (.*)$/.exec(frame) ?? []
        if (id !== '') events.push({ event, data, id })
        if (events.length === count) return events
      }
    }
    return events
  }
})

/** A model's answer that comes when the test says so. */
function slowAnswer(content: string) {
  const asked = moment()
  const answer = moment()
  const step = async () => {
    asked.reach()
    await answer.reached
    return { content }
  }
  return { step, asked: asked.reached, answer: answer.reach }
}

function pagesOf({ headers }: Answer) {
  return { total: headers.get('x-pagination-total'), next: headers.get('x-pagination-next') }
}
