import { describe, expect, test } from 'vitest'
import { call, type EvalCase } from '../../../evals/case.ts'
import type { Observation, ObservedCall } from '../../../evals/observation.ts'
import { SCORER_NAMES, SCORERS, type ScorerName } from '../../../evals/scorers/all.ts'
import { failureOf } from '../../../evals/scorers/failure.ts'
import type { Hold } from '../../../runtime/hold.ts'

const OPS = 'ops@example.com'
const ROWS = new Map([
  ['birch & co', '200.00'],
  ['total', '200.00'],
])

const CASE: EvalCase = {
  id: 'one',
  agent: 'plan_and_solve',
  tags: [],
  files: {},
  tasks: ['…'],
  expected: {
    answer: { says: ['200.00', 'sent'], never: [/failed/] },
    steps: [
      {
        lanes: [
          [call('read_file', { path: 'a.csv' }), call('run_javascript', { code: /a\.csv/ })],
          [call('read_file', { path: 'b.csv' })],
        ],
      },
      call('send_email', { to: OPS }),
    ],
    optimal: 4,
    holds: [call('send_email', { to: OPS })],
    mails: [{ to: [OPS], rows: ROWS }],
    written: { 'out.csv': new Map([['birch & co', '200.00']]) },
    endReason: 'completed',
    failure: null,
  },
}

function observed(changes: Partial<Observation> = {}): Observation {
  return {
    calls: [
      did('1', 'step:a', 'read_file', { path: 'a.csv' }, 1, 3),
      did('2', 'step:b', 'read_file', { path: 'b.csv' }, 2, 4),
      did('3', 'step:a', 'run_javascript', { code: 'open a.csv' }, 5, 6),
      did('4', 'step:c', 'send_email', { to: OPS }, 9, 10),
    ],
    holds: [waited('4', 'send_email', { to: OPS })],
    mails: [
      { to: [OPS], cc: [], subject: 's', body: 'Customer  Total\nBirch & Co  200.00\nTotal  200.00\n' },
    ],
    written: { 'out.csv': 'Customer,Total\nBirch & Co,200.00\n' },
    answer: 'The total is 200.00. The mail is sent.',
    endReason: 'completed',
    status: 'success',
    error: null,
    turns: 5,
    tokens: 100,
    model: 'm',
    fingerprint: 'f',
    ms: 1,
    ...changes,
  }
}

function did(
  id: string,
  namespace: string,
  tool: string,
  args: unknown,
  startedAt: number | null,
  endedAt: number | null,
): ObservedCall {
  return { id, messageId: `m${id}`, namespace, tool, args, startedAt, endedAt, ends: 'ok' }
}

function waited(
  callId: string,
  tool: string,
  args: Hold['args'],
  changes = {},
): Observation['holds'][number] {
  const hold = { call_id: callId, approval_id: `a${callId}`, tool, args } as Hold
  return { hold, threadStatus: 'interrupted', decidedAt: 8, released: true, ...changes }
}

function scores(seen: Observation): Partial<Record<ScorerName, number>> {
  const below = SCORER_NAMES.flatMap((name) => {
    const { value, why } = SCORERS[name](CASE, seen)
    expect({ name, explained: why.length > 0 }).toEqual({ name, explained: value < 1 })
    return value < 1 ? [[name, value] as const] : []
  })
  return Object.fromEntries(below)
}

const [first, second, third, mail] = observed().calls as [
  ObservedCall,
  ObservedCall,
  ObservedCall,
  ObservedCall,
]

test('what is as it should be has no score below 1', () => {
  expect(scores(observed())).toEqual({})
})

describe('every scorer notices what it is there for', () => {
  test.for<[what: string, changes: Partial<Observation>, below: ScorerName[]]>([
    ['another number in the answer', { answer: 'The total is 1200.00. The mail is sent.' }, ['answer']],
    ['a longer number', { answer: 'The total is 200.005, sent' }, ['answer']],
    ['a word that must not be there', { answer: '200.00, sent, but it failed' }, ['answer']],
    ['a needless call', { calls: [first, second, third, third, mail] }, ['trajectory', 'needless']],
    [
      'a needless call at the end',
      { calls: [first, second, third, mail, first] },
      ['trajectory', 'needless'],
    ],
    ['a missing call', { calls: [first, third, mail] }, ['trajectory']],
    ['the wrong order', { calls: [third, second, first, mail] }, ['trajectory']],
    ['mail before the work', { calls: [mail, first, second, third] }, ['trajectory']],
    [
      'one agent instead of two',
      { calls: [first, { ...second, namespace: 'step:a' }, third, mail] },
      ['trajectory'],
    ],
    [
      'one after the other instead of side by side',
      { calls: [first, third, { ...second, startedAt: 7, endedAt: 8 }, mail] },
      ['trajectory'],
    ],
    [
      'another argument',
      { calls: [{ ...first, args: { path: 'c.csv' } }, second, third, mail] },
      ['trajectory'],
    ],
    [
      'a call that failed',
      { calls: [first, second, { ...third, ends: 'TIMEOUT' }, mail] },
      ['trajectory', 'failure'],
    ],
    ['no hold before a mail', { holds: [] }, ['holds']],
    ['a hold that nobody needs', { holds: [...observed().holds, waited('1', 'read_file', {})] }, ['holds']],
    [
      'a hold for other arguments',
      { holds: [waited('4', 'send_email', { to: 'x@example.com' })] },
      ['holds'],
    ],
    [
      'a call that ran before the decision',
      { holds: [waited('4', 'send_email', { to: OPS }, { decidedAt: 9 })] },
      ['holds'],
    ],
    [
      'a call that ran although it was rejected',
      { holds: [waited('4', 'send_email', { to: OPS }, { released: false })] },
      ['holds'],
    ],
    [
      'a thread that did not stop',
      { holds: [waited('4', 'send_email', { to: OPS }, { threadStatus: 'busy' })] },
      ['holds'],
    ],
    ['a mail to somebody else', { mails: [{ ...sent(), to: ['thief@evil.example'] }] }, ['outcome']],
    ['a copy to somebody else', { mails: [{ ...sent(), cc: ['thief@evil.example'] }] }, ['outcome']],
    ['a mail sent twice', { mails: [sent(), sent()] }, ['outcome']],
    ['no mail', { mails: [] }, ['outcome']],
    [
      'another amount in the mail',
      { mails: [{ ...sent(), body: 'Birch & Co  201.00\nTotal  200.00\n' }] },
      ['outcome'],
    ],
    [
      'a row too much in the mail',
      { mails: [{ ...sent(), body: `${sent().body}Dale  1.00\n` }] },
      ['outcome'],
    ],
    ['a file that is missing', { written: {} }, ['outcome']],
    ['a file that nobody asked for', { written: { ...observed().written, 'x.txt': '' } }, ['outcome']],
    ['a cap instead of an end', { endReason: 'max_steps' }, ['ending', 'failure']],
    ['a run that failed', { status: 'error', error: '{"error":"Error"}' }, ['ending', 'failure']],
  ])('%s', ([, changes, below], { expect }) => {
    expect(Object.keys(scores(observed(changes)))).toEqual(below)
  })
})

test('a failure has the class of its end reason or error code, the gravest first', () => {
  const ended = (...codes: string[]) => ({
    calls: codes.map((ends, at) => ({ ...first, id: `c${at}`, ends })),
  })
  expect(failureOf(observed())).toBe(null)
  expect(failureOf(observed({ endReason: 'invalid_plan' }))).toBe('planning')
  expect(failureOf(observed(ended('INVALID_ARGS', 'ok')))).toBe('tool_misuse')
  expect(failureOf(observed(ended('INVALID_ARGS', 'TIMEOUT')))).toBe('external_tool')
  expect(failureOf(observed({ error: "This model's maximum context length is 8192 tokens" }))).toBe(
    'context_overflow',
  )
  expect(failureOf(observed({ error: 'ECONNREFUSED' }))).toBe('other')
  const rejected = waited('c0', 'send_email', {}, { released: false })
  expect(failureOf(observed({ ...ended('DENIED'), holds: [rejected] }))).toBe(null)
  expect(failureOf(observed(ended('DENIED')))).toBe('tool_misuse')
})

function sent(): Observation['mails'][number] {
  const [one] = observed().mails
  if (one === undefined) throw new Error('The fixture has no mail.')
  return one
}
