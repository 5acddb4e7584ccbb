import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { readArguments } from '../../../examples/demo/arguments.ts'
import { askPerson } from '../../../examples/demo/ask.ts'
import { answerOf, describeApproval, describeStep, mailPath } from '../../../examples/demo/show.ts'

describe('the command line', () => {
  test('takes a file and a task, or neither', () => {
    expect(readArguments(['my.csv', 'Do it', '--yes'])).toEqual({ file: 'my.csv', task: 'Do it', yes: true })
    expect(readArguments([])).toMatchObject({
      file: expect.stringMatching(/examples.orders\.csv$/) as string,
      task: 'Total the orders in orders.csv by customer and mail the result to ops@example.com.',
      yes: false,
    })
    expect(readArguments(['dir/my file.csv'])).toMatchObject({
      task: expect.stringContaining('"my file.csv"') as string,
    })
    expect(readArguments(['--help'])).toBe('help')
  })

  test('what it does not know is told in one line', () => {
    expect(() => readArguments(['--no'])).toThrow(/--no.*--help$/)
    expect(() => readArguments(['a', 'b', 'c'])).toThrow(/quotes/)
  })
})

describe('what is shown', () => {
  const args = {
    to: ['a@b.co', 'c@d.org'],
    cc: 'boss@b.co',
    subject: 'Totals',
    body: 'Acme  5\n\nTotal  5\n',
  }
  const approval = { approval_id: 'x', tool: 'send_email', args, risk: 'medium' }

  test('a mail is shown whole, as it would be sent', () => {
    expect(describeApproval(approval)).toBe(
      [
        'send_email waits for your word (risk medium). This is what would happen:',
        '',
        '  | To:      a@b.co, c@d.org',
        '  | Cc:      boss@b.co',
        '  | Subject: Totals',
        '  |',
        '  | Acme  5',
        '  |',
        '  | Total  5',
      ].join('\n'),
    )
  })

  test('nothing in a mail can redraw the terminal', () => {
    const shown = describeApproval({ ...approval, args: { ...args, body: 'pay \u001b[2K\u202eevil' } })
    expect(shown).toContain('pay \ufffd[2K\ufffdevil')
  })

  test('steps are one line each', () => {
    const start = {
      type: 'tool_start',
      name: 'run_javascript',
      args: { code: 'a\nb' },
      risk: 'low',
      call_id: '1',
    }
    expect(describeStep(start)).toBe('  > run_javascript  2 lines of code')
    const done = { type: 'tool_done', name: 'x', status: 'DENIED', preview: 'no\nway', ms: 3, call_id: '1' }
    expect(describeStep(done)).toBe('    DENIED, 3 ms  no way')
    expect(describeStep({ type: 'hold', approval_id: 'x', tool: 'send_email' })).toContain('send_email waits')
    expect(describeStep({ type: 'other' })).toBeNull()
  })

  test('the path of the mail and the answer are found', () => {
    const preview = '{"message_id":"<1@x>","path":"outbox/1.eml"}'
    expect(mailPath({ type: 'tool_done', name: 'send_email', status: 'ok', preview })).toBe('outbox/1.eml')
    expect(mailPath({ type: 'tool_done', name: 'send_email', status: 'DENIED', preview })).toBeUndefined()
    expect(answerOf({ messages: [{ type: 'ai', content: [{ type: 'text', text: 'Done.' }] }] })).toBe('Done.')
    expect(answerOf({ messages: [{ type: 'ai', content: '', tool_calls: [{}] }] })).toBeUndefined()
  })
})

describe('the question', () => {
  const approval = {
    approval_id: 'x',
    tool: 'send_email',
    args: { to: ['a@b.co'], subject: 'S', body: 'one\ntwo\n' },
    risk: 'medium',
  }
  const answer = async (typed: string) => {
    const input = new PassThrough()
    const ask = askPerson(input, new PassThrough())
    input.end(typed)
    try {
      return await ask.decide(approval)
    } finally {
      ask.close()
    }
  }

  test.each([
    ['what?\napprove\n', { type: 'approve' }],
    ['r\nwrong month\n', { type: 'reject', message: 'wrong month' }],
    ['reject\n\n', { type: 'reject' }],
    [
      'edit\nc@d.org, e@f.org\n\n\n',
      { type: 'edit', args: { ...approval.args, to: ['c@d.org', 'e@f.org'] } },
    ],
    [
      'edit\n\nNew\n  first\n\nlast\n.\n',
      { type: 'edit', args: { to: ['a@b.co'], subject: 'New', body: '  first\n\nlast\n' } },
    ],
  ])('%j', async (typed, decision) => {
    expect(await answer(typed)).toEqual(decision)
  })

  test('nobody answers', async () => {
    await expect(answer('')).rejects.toThrow(/still waits/)
  })
})
