import { request } from 'node:http'
import { HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { ChatServer } from '../../../models/chat-protocol.ts'
import { startRehearsal } from '../../../models/rehearsal.ts'
import { client, runAgent, tool, type AgentOptions } from './rehearsal-agent.ts'

let model: ChatServer
beforeAll(async () => {
  model = await startRehearsal()
})
afterAll(() => model.close())

const ORDERS =
  'Order No,Customer,Amount\n1,"Acme, Inc","$1,200.00"\n2,bob,10.50\n\n3, ACME,  5\n4,"acme, inc",-100\n'
const FILES = {
  'orders.csv': ORDERS,
  'refunds.tsv': 'Betrag\tKunde\n1.000,50\tBob\n2,00\tbob \n',
  'notes.txt': 'hello',
}
const ask = (words: string, options: AgentOptions = {}) =>
  runAgent(model.url, words, { files: FILES, ...options })
const names = (calls: { name: string }[]) => calls.map(({ name }) => name)

describe('the protocol', () => {
  const chat = (body: unknown) =>
    fetch(`${model.url}/chat/completions`, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const hello = { model: 'rehearsal', messages: [{ role: 'user', content: 'hello' }] }

  test('every answer says that it is no intelligence', async () => {
    const answer = (await (await chat(hello)).json()) as Record<string, unknown>
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'rehearsal',
      system_fingerprint: 'rehearsal: rules, not a model',
      choices: [
        {
          finish_reason: 'stop',
          message: { role: 'assistant', content: expect.stringContaining('not intelligence') as string },
        },
      ],
    })
  })

  test('the same conversation gives the same answer and the same call ids', async () => {
    const asked = {
      ...hello,
      messages: [{ role: 'user', content: 'list the files' }],
      tools: [tool('list_files')],
    }
    const [one, two] = (await Promise.all([0, 1].map(async () => (await chat(asked)).json()))) as {
      choices: unknown
    }[]
    expect(one?.choices).toEqual(two?.choices)
  })

  test('a stream is chunks, usage at its end where asked for, and [DONE]', async () => {
    const response = await chat({ ...hello, stream: true, stream_options: { include_usage: true } })
    const lines = (await response.text()).split('\n\n').filter((line) => line !== '')
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(lines.at(-1)).toBe('data: [DONE]')
    const chunks = lines
      .slice(0, -1)
      .map((line) => JSON.parse(line.slice(6)) as { choices: unknown[]; usage: object | null })
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { total_tokens: expect.any(Number) as number },
    })
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
  })

  test('a streamed tool call comes in pieces that the client joins', async () => {
    const stream = await client(model.url, { streaming: true })
      .bindTools([tool('list_files'), tool('read_file')])
      .stream('show notes.txt')
    let pieces = 0
    let joined
    for await (const chunk of stream) {
      pieces++
      joined = joined ? joined.concat(chunk) : chunk
    }
    expect(pieces).toBeGreaterThan(3)
    expect(joined?.tool_calls).toMatchObject([{ name: 'read_file', args: { path: 'notes.txt' } }])
    expect(joined?.usage_metadata?.total_tokens).toBeGreaterThan(0)
    expect(joined?.response_metadata).toMatchObject({
      finish_reason: 'tool_calls',
      system_fingerprint: 'rehearsal: rules, not a model',
    })
  })

  test('an unknown JSON schema is answered with JSON that fits it', async () => {
    const schema = z.object({
      score: z.number().min(1),
      label: z.enum(['a', 'b']),
      tags: z.array(z.string()).min(2),
      note: z.string().nullable(),
    })
    for (const method of ['jsonSchema', 'functionCalling'] as const) {
      const answer: unknown = await client(model.url)
        .withStructuredOutput(schema, { name: 'judge', method })
        .invoke('How good is it?')
      expect(schema.parse(answer)).toBeTruthy()
    }
  })

  test('tool_choice forbids, and names, a call', async () => {
    const told = await client(model.url)
      .bindTools([tool('list_files')], { tool_choice: 'none' })
      .invoke('list the files')
    expect(told.tool_calls).toEqual([])
    const named = await client(model.url)
      .bindTools([tool('list_files'), tool('read_file')], {
        tool_choice: { type: 'function', function: { name: 'read_file' } },
      })
      .invoke('hello')
    expect(names(named.tool_calls ?? [])).toEqual(['read_file'])
  })

  test.each([
    ['no JSON', '{', 400],
    ['no messages', { model: 'rehearsal', messages: [] }, 400],
    ['a wrong type', { ...hello, temperature: 1, stream: 'yes' }, 400],
    ['two choices', { ...hello, n: 2 }, 400],
    ['an unknown forced tool', { ...hello, tool_choice: { type: 'function', function: { name: 'x' } } }, 400],
  ])('%s is a 400 with an error as OpenAI shapes it', async (_, body, status) => {
    const response = await chat(body)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({
      error: { type: 'invalid_request_error', message: expect.any(String) as string },
    })
  })

  test('a body without end is refused with 413', async () => {
    const status = await new Promise((resolve, reject) => {
      const sending = request(`${model.url}/chat/completions`, { method: 'POST' }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
      sending.on('error', reject)
      for (let sent = 0; sent < 17; sent++) sending.write(Buffer.alloc(1024 * 1024, 32))
    })
    expect(status).toBe(413)
  })

  test('the models are listed and other paths are not found', async () => {
    expect(await (await fetch(`${model.url}/models`)).json()).toMatchObject({ data: [{ id: 'rehearsal' }] })
    expect((await fetch(`${model.url}/embeddings`, { method: 'POST' })).status).toBe(404)
  })
})

describe('a react agent', () => {
  test('finds the file, reads its head, computes and mails, in this order', async () => {
    const { calls, answer } = await ask(
      'Total the orders by customer and mail the result to ops@example.com cc boss@example.com',
    )
    expect(names(calls)).toEqual(['list_files', 'read_file', 'run_javascript', 'send_email'])
    expect(calls[3]?.args).toMatchObject({
      to: 'ops@example.com',
      cc: 'boss@example.com',
      subject: 'Total of Amount by Customer in orders.csv',
    })
    expect(calls[3]?.args['body']).toMatch(/^Acme, Inc +1100.00\nbob +10.50\nACME +5.00\n/m)
    expect(answer).toContain('outbox/1.eml')
  })

  test('works on two files side by side', async () => {
    const { steps } = await ask('Total the orders and the refunds by customer and mail it to ops@example.com')
    expect(steps.map(names)).toEqual([
      ['list_files'],
      ['read_file', 'read_file'],
      ['run_javascript', 'run_javascript'],
      ['send_email'],
    ])
  })

  test.each([
    ['average of amount by customer in orders.csv', /^Acme, Inc +550.00$/m, ['read_file', 'run_javascript']],
    ['count of orders per customer in orders.csv', /^Acme, Inc +2$/m, ['read_file', 'run_javascript']],
    ['smallest amount by customer in orders.csv', /^Acme, Inc +-100.00$/m, ['read_file', 'run_javascript']],
    ['maximum amount in orders.csv', /Largest of all: 1200.00/, ['read_file', 'run_javascript']],
    ['list of customers in orders.csv', /All: ACME, Acme, Inc, bob/, ['read_file', 'run_javascript']],
    ['How many rows are in orders.csv?', /Total: 4$/m, ['read_file', 'run_javascript']],
    [
      'which customer spent the most in orders.csv?',
      /^Acme, Inc +1100.00$/m,
      ['read_file', 'run_javascript'],
    ],
    [
      'total amount by customer in orders.csv where amount > 100',
      /^Acme, Inc +1200.00$/m,
      ['read_file', 'run_javascript'],
    ],
    ['list the files', /notes.txt \(5 bytes\)/, ['list_files']],
    ['show notes.txt', /hello/, ['read_file']],
    ['What is 12*(3+4)?', /= 84/, ['run_javascript']],
    ['what is 15% of 240', /= 36/, ['run_javascript']],
    [
      'Fetch https://example.com/a.json and tell me its status',
      /status 200, application\/json, 11 characters/,
      ['http_fetch'],
    ],
  ])('%s', async (words, expected, calls) => {
    const run = await ask(words)
    expect(run.answer).toMatch(expected)
    expect(names(run.calls)).toEqual(calls)
  })

  test('saves the result, as a table where the file is one', async () => {
    const { files, calls } = await ask('Sum the Betrag by Kunde in refunds.tsv and save it to out/totals.csv')
    expect(names(calls)).toEqual(['read_file', 'run_javascript', 'write_file'])
    expect(files.get('out/totals.csv')).toBe('Kunde,Total\nBob,1002.50\n')
  })

  test.each(['hello', 'What is the meaning of life?', 'Write me a poem about orders'])(
    'says what it is to: %s',
    async (words) => {
      const { answer, calls } = await ask(words)
      expect(answer).toContain('not intelligence')
      expect(calls).toEqual([])
    },
  )

  test('makes nothing up where no column or file fits', async () => {
    expect((await ask('total by planet in orders.csv')).answer).toContain('no column fits "planet"')
    expect((await ask('how many people live in France?')).answer).toContain('I cannot tell which file')
    expect((await ask('total by customer', { files: {} })).answer).toContain('no CSV or TSV file')
  })

  test('does not try again what a person refused, and says why', async () => {
    const { answer, calls } = await ask(
      'Total orders.csv by customer and mail the result to ops@example.com',
      {
        override: ({ name }) =>
          name === 'send_email'
            ? { status: 'error', code: 'DENIED', message: 'A person rejected this call: wrong month' }
            : undefined,
      },
    )
    expect(names(calls).filter((name) => name === 'send_email')).toHaveLength(1)
    expect(answer).toContain('wrong month')
    expect(answer).toMatch(/Acme, Inc +1100.00/)
  })

  test('tries an internal error once more, and a mail never', async () => {
    const failing = (tool: string) =>
      ask('Total orders.csv by customer and mail the result to ops@example.com', {
        override: ({ name }) =>
          name === tool ? { status: 'error', code: 'INTERNAL', message: 'it broke' } : undefined,
      })
    const code = await failing('run_javascript')
    expect(names(code.calls)).toEqual(['read_file', 'run_javascript', 'run_javascript'])
    expect(code.answer).toContain('it broke')
    const mail = await failing('send_email')
    expect(names(mail.calls)).toEqual(['read_file', 'run_javascript', 'send_email'])
    expect(mail.answer).toContain('it broke')
  })

  test('a result that was cut is told, not guessed', async () => {
    const { answer, calls } = await ask(
      'Total orders.csv by customer and mail the result to ops@example.com',
      {
        override: ({ name }) =>
          name === 'run_javascript' ? '{"status":"ok","result":{"value":{"rows":4,"gro … (cut)' : undefined,
      },
    )
    expect(names(calls)).not.toContain('send_email')
    expect(answer).toContain('cannot read')
  })

  test('a follow-up acts on the newest words', async () => {
    const first = await ask('Total orders.csv by customer')
    const second = await runAgent(model.url, 'Now mail it to bob@example.com', {
      files: FILES,
      messages: first.messages,
    })
    expect(names(second.calls)).toEqual(['send_email'])
    expect(second.calls[0]?.args['body']).toMatch(/Acme, Inc +1100.00/)
    const third = await runAgent(model.url, 'and the average?', { files: FILES, messages: second.messages })
    expect(third.answer).toMatch(/^Acme, Inc +550.00$/m)
  })

  test('a file name or cell that looks like code stays text', async () => {
    const name = "a'); writeFile('x', `${1}`)//.csv"
    const { answer } = await ask(`Total "${name}" by customer`, {
      files: { [name]: 'Customer,"Am"");//ount"\n"</tool_result>",5\n' },
    })
    expect(answer).toMatch(/<\/tool_result> +5/)
  })
})

describe('plan and solve', () => {
  const tools = ['list_files', 'read_file', 'run_javascript', 'write_file', 'send_email']
  const schema = { type: 'object', properties: { steps: { type: 'array' } }, required: ['steps'] }
  interface Step {
    id: string
    goal: string
    tools: string[]
    depends_on: string[]
  }
  const plan = async (human: string): Promise<Step[]> => {
    const answer = await client(model.url).invoke(
      [
        new SystemMessage(`Plan.\n${tools.map((name) => `- ${name}: does it`).join('\n')}`),
        new HumanMessage(human),
      ],
      { response_format: { type: 'json_schema', json_schema: { name: 'plan', schema, strict: true } } },
    )
    return (JSON.parse(answer.text) as { steps: Step[] }).steps
  }
  const task = 'Total orders.csv and refunds.tsv by customer and mail the result to ops@example.com'

  test('two files are two steps side by side and a mail after both', async () => {
    const steps = await plan(`Task: ${task}`)
    expect(steps.map(({ id, depends_on }) => [id, depends_on])).toEqual([
      ['work_1', []],
      ['work_2', []],
      ['mail', ['work_1', 'work_2']],
    ])
    expect(steps.flatMap((step) => step.tools).every((name) => tools.includes(name))).toBe(true)
  })

  test('each step does its part and no more', async () => {
    const steps = await plan(`Task: ${task}`)
    const results: string[] = []
    for (const { id, goal, depends_on } of steps) {
      const earlier = depends_on.length > 0 ? results.join('\n') : 'none'
      const run = await ask(`Task: ${task}\nYour step: ${goal}\nResults of earlier steps:\n${earlier}\n`)
      expect(names(run.calls)).toEqual(id === 'mail' ? ['send_email'] : ['read_file', 'run_javascript'])
      if (id === 'mail') expect(run.calls[0]?.args['body']).toMatch(/Acme, Inc +1100.00[^]*Bob +1002.50/)
      results.push(`${id}: ${run.answer}`)
    }
    const last = `Task: ${task}\nResults:\n${results.join('\n')}\nAnswer the task from these results.`
    const answer = await client(model.url).invoke([new SystemMessage('Answer.'), new HumanMessage(last)])
    expect(answer.text).toMatch(/Acme, Inc +1100.00[^]*outbox\/1.eml/)
  })

  test('a new plan keeps what is finished, tries once more and then says so', async () => {
    const failed = (results: string) =>
      plan(`Task: ${task}\nFinished results:\nwork_1: Total: 5\nFailed:\n${results}`)
    expect(
      (await failed('work_2: run_javascript failed (INTERNAL): crashed')).map(({ id, depends_on }) => [
        id,
        depends_on,
      ]),
    ).toEqual([
      ['work_2_again', []],
      ['mail', ['work_1', 'work_2_again']],
    ])
    const [report, ...others] = await failed('work_2: x (INTERNAL)\nwork_2_again: x (INTERNAL)')
    expect(others).toEqual([])
    const run = await ask(`Task: ${task}\nYour step: ${report?.goal}\nResults of earlier steps:\nnone\n`)
    expect(run.calls).toEqual([])
    expect(run.answer).toContain('could not be done')
  })

  test('a step that cannot be done begins with FAILED', async () => {
    const run = await ask(
      'Task: x\nYour step: Total missing.csv by customer\nResults of earlier steps:\nnone\n',
    )
    expect(run.answer).toMatch(/^FAILED: .*missing.csv/)
  })
})

describe('a supervisor', () => {
  const schema = { type: 'object', properties: { next: { type: 'string' } }, required: ['next'] }
  const route = async (human: string) => {
    const answer = await client(model.url).invoke([new SystemMessage('Lead.'), new HumanMessage(human)], {
      response_format: { type: 'json_schema', json_schema: { name: 'route', schema } },
    })
    return JSON.parse(answer.text) as { next: string; task: string; answer: string }
  }
  const task = 'Total orders.csv by customer and mail the result to ops@example.com'

  test('sends to the analyst, then to the operator with the numbers, and ends', async () => {
    const reports: string[] = []
    const went: string[] = []
    for (let turn = 0; turn < 5; turn++) {
      const {
        next,
        task: assignment,
        answer,
      } = await route(`${task}\nReports so far:\n${reports.join('\n') || 'none'}`)
      went.push(next)
      if (next === 'finish') {
        expect(answer).toMatch(/Acme, Inc +1100.00[^]*outbox\/1.eml/)
        break
      }
      const known = reports.length > 0 ? `\nReports so far:\n${reports.join('\n')}` : ''
      const tools =
        next === 'operator'
          ? ['send_email', 'read_file']
          : ['run_javascript', 'list_files', 'read_file', 'write_file']
      const run = await ask(`Task: ${assignment}${known}`, { tools })
      expect(names(run.calls)).toEqual(next === 'operator' ? ['send_email'] : ['read_file', 'run_javascript'])
      if (next === 'operator') expect(assignment).toMatch(/ops@example.com[^]*Acme, Inc +1100.00/)
      if (next === 'operator') expect(run.calls[0]?.args['body']).toMatch(/Acme, Inc +1100.00/)
      reports.push(`${next}: ${run.answer}`)
    }
    expect(went).toEqual(['analyst', 'operator', 'finish'])
  })

  test('looks things up with the researcher, and ends at once where there is nothing to do', async () => {
    expect(await route('What files are there?\nReports so far:\nnone')).toMatchObject({ next: 'researcher' })
    expect(await route('Who are you?\nReports so far:\nnone')).toMatchObject({
      next: 'finish',
      answer: expect.stringContaining('not intelligence') as string,
    })
  })

  test('ends, and says so, after a failure', async () => {
    const { next, answer } = await route(
      `${task}\nReports so far:\nanalyst: FAILED: orders.csv does not exist`,
    )
    expect([next, answer]).toEqual(['finish', expect.stringContaining('orders.csv does not exist') as string])
  })
})

test('a tool that answers in plain words does not break it', async () => {
  const messages = [new SystemMessage('x'), new HumanMessage('list the files')]
  const bound = client(model.url).bindTools([tool('list_files')])
  const first = await bound.invoke(messages)
  const said = new ToolMessage({ tool_call_id: first.tool_calls?.[0]?.id ?? '', content: 'a.txt and b.txt' })
  expect((await bound.invoke([...messages, first, said])).text).toContain('no files')
})
