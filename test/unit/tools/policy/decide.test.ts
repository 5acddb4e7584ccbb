import { expect, test } from 'vitest'
import type { Json } from '../../../../runtime/json.ts'
import type { Risk } from '../../../../tools/define.ts'
import { globMatches } from '../../../../tools/policy/condition.ts'
import { ONE_PERSON } from '../../../../runtime/needs.ts'
import { grown } from '../../../../tools/policy/needs.ts'
import { decide, isGiven } from '../../../../tools/policy/decide.ts'
import { type PolicyFile, readPolicy } from '../../../../tools/policy/schema.ts'

type RuleInput = PolicyFile['rules'][number]
const WHO = {
  agents: ['support', 'a-1'],
  tenant: 'acme',
  requester: 'ada',
  roles: ['operator'],
  untrusted: [],
}

function ask(rules: RuleInput[], args: Record<string, Json>, risk: Risk = 'medium', origin = {}) {
  return decide(readPolicy({ rules }), { tool: 'pay', args, risk, origin: { ...WHO, ...origin } })
}

/** Whether a rule with this condition on `x` denies, and whether one allows. */
function denies(condition: object, x: Json): boolean {
  return ask([{ name: 'r', when: { args: { x: condition } }, then: 'deny' }], { x }).action === 'deny'
}
function allows(condition: object, x: Json): boolean {
  return ask([{ name: 'r', when: { args: { x: condition } }, then: 'allow' }], { x }).action === 'allow'
}

test('without a rule the risk of the tool counts, as it always did', () => {
  expect((['low', 'medium', 'high', 'critical'] as const).map((risk) => ask([], {}, risk))).toMatchObject([
    { action: 'allow', rule: null },
    {
      action: 'hold',
      rule: null,
      needs: { approvers: 1, seniors: 0, who: ['approver'], expires_in: 14_400 },
    },
    { action: 'hold', rule: null, needs: { approvers: 2, seniors: 0, on_expiry: 'reject' } },
    { action: 'hold', rule: null, needs: { approvers: 2, seniors: 1 } },
  ])
})

test('a rule may allow what its risk would hold; a rule that holds counts more, and one that denies most', () => {
  const when = { tool: 'pa?' }
  const rules: RuleInput[] = [
    { name: 'no', when, then: 'deny', reason: 'Never.' },
    { name: 'ask', when, then: 'hold' },
    { name: 'yes', when, then: 'allow' },
  ]
  expect(ask(rules, {})).toMatchObject({ action: 'deny', rule: 'no', reason: 'Rule "no" denies pay: Never.' })
  expect(ask(rules.slice(1), {}, 'low')).toMatchObject({
    action: 'hold',
    rule: 'ask',
    needs: { approvers: 1 },
  })
  expect(ask(rules.slice(2), {}, 'critical')).toMatchObject({ action: 'allow', rule: 'yes' })
})

test('of several rules that hold the strictest of each need counts, and all are named', () => {
  const when = { tool: '*' }
  const rules: RuleInput[] = [
    { name: 'b', when, then: 'hold', approvers: 3, expires_in: '2d', who: ['finance', 'ada'] },
    { name: 'a', when, then: 'hold', risk: 'critical', who: ['ada'], on_expiry: 'wait' },
  ]
  expect(ask(rules, {})).toMatchObject({
    action: 'hold',
    rule: 'a, b',
    risk: 'critical',
    needs: { approvers: 3, seniors: 1, who: ['ada'], expires_in: 172_800, on_expiry: 'reject' },
  })
  expect(ask(rules.slice(1), {})).toMatchObject({ needs: { expires_in: null, on_expiry: 'wait' } })
})

test('rules whose people have nobody in common deny, and say why', () => {
  const held = (name: string, who: string[]): RuleInput => ({ name, when: { tool: '*' }, then: 'hold', who })
  expect(ask([held('a', ['finance']), held('b', ['legal'])], {})).toMatchObject({
    action: 'deny',
    rule: 'a, b',
    reason: 'Rules "a", "b" deny pay: nobody is in the "who" of all of them, so nobody could approve it.',
  })
})

test('two escalations to different people become a rejection, one stays', () => {
  const held = (name: string, to: string[]): RuleInput => ({
    name,
    when: { tool: '*' },
    then: 'hold',
    on_expiry: { escalate: { to, expires_in: '1h' } },
  })
  expect(ask([held('a', ['senior']), held('b', ['senior'])], {}).needs.on_expiry).toEqual({
    escalate: { to: ['senior'], expires_in: 3_600 },
  })
  expect(ask([held('a', ['senior']), held('b', ['cfo'])], {}).needs.on_expiry).toBe('reject')
})

test('the risk of the tool is the floor, unless the rule names a risk', () => {
  const rule = (more: object): RuleInput[] => [{ name: 'r', when: { tool: '*' }, then: 'hold', ...more }]
  const people = (more: object) => {
    const { approvers, seniors } = ask(rule(more), {}, 'critical').needs
    return [approvers, seniors]
  }
  expect(people({})).toEqual([2, 1])
  expect(people({ approvers: 1 })).toEqual([2, 1])
  expect(people({ approvers: 5 })).toEqual([5, 1])
  expect(people({ risk: 'medium' })).toEqual([1, 0])
  expect(people({ risk: 'high', approvers: 1 })).toEqual([1, 0])
  expect(people({ risk: 'low', approvers: 1, seniors: 3 })).toEqual([3, 3])
})

test('who the call is for: graph or assistant, tenant, requester, each by a glob or several', () => {
  const matches = (when: object, origin = {}) =>
    ask([{ name: 'r', when, then: 'deny' }], {}, 'low', origin).action === 'deny'
  expect(matches({ agent: 'support' })).toBe(true)
  expect(matches({ agent: ['x', 'a-*'] })).toBe(true)
  expect(matches({ agent: 'sales' })).toBe(false)
  expect(matches({ tenant: 'acme', requester: 'bob' })).toBe(false)
  expect(matches({ tenant: 'ac*', requester: '?da' })).toBe(true)
  // Unknown is nobody's good luck.
  expect(matches({ requester: 'bob' }, { requester: undefined })).toBe(true)
  const yes: RuleInput = { name: 'r', when: { requester: '*' }, then: 'allow' }
  expect(ask([yes], {}, 'medium', { requester: undefined }).action).toBe('hold')
})

test('a role is one that the requester was given; one that is not known is nobody’s good luck', () => {
  const when = (role: object) => ({ tool: 'pay', ...role })
  const denies = (role: object, origin = {}) =>
    ask([{ name: 'r', when: when(role), then: 'deny' }], {}, 'low', origin).action === 'deny'
  expect(denies({ role: 'operator' })).toBe(true)
  expect(denies({ role: ['viewer', 'operator'] })).toBe(true)
  expect(denies({ role: 'operator' }, { roles: ['admin'] })).toBe(false)
  expect(denies({ role: 'operator' }, { roles: [] })).toBe(false)
  expect(denies({ role: 'operator' }, { roles: undefined })).toBe(true)
  const yes: RuleInput = { name: 'r', when: when({ role: 'admin' }), then: 'allow' }
  expect(ask([yes], {}, 'medium', { roles: ['operator', 'admin'] }).action).toBe('allow')
  expect(ask([yes], {}, 'medium', { roles: undefined }).action).toBe('hold')
})

test('an allowlist denies what no entry gives, whatever a rule allows; all that an entry names has to fit', () => {
  const given = (entry: object, origin = {}) =>
    isGiven(readPolicy({ rules: [], tools: [entry] }), 'pay', { ...WHO, ...origin })
  expect(given({ tool: ['read_*', 'pay'] })).toBe(true)
  expect(given({ tool: 'read_*' })).toBe(false)
  expect(given({ tool: 'pay', agent: 'a-1', tenant: 'acme', requester: 'ada', role: 'operator' })).toBe(true)
  for (const other of [
    { agent: 'sales' },
    { tenant: 'else' },
    { requester: 'bob' },
    { role: 'senior' },
    { untrusted: true },
  ])
    expect([other, given({ tool: 'pay', ...other })]).toEqual([other, false])
  // What is not known fits no entry.
  expect(given({ tool: 'pay', role: 'operator' }, { roles: undefined })).toBe(false)
  expect(given({ tool: 'pay', requester: '*' }, { requester: undefined })).toBe(false)
  expect(given({ tool: 'pay', untrusted: false }, { untrusted: undefined })).toBe(false)
  expect(given({ tool: 'pay', untrusted: false }, { untrusted: ['http_fetch'] })).toBe(false)

  const yes: RuleInput = { name: 'yes', when: { tool: '*' }, then: 'allow' }
  const judged = (tools: PolicyFile['tools'], tool = 'pay') =>
    decide(readPolicy({ rules: [yes], tools }), { tool, args: {}, risk: 'low', origin: WHO })
  expect(judged([])).toMatchObject({
    action: 'deny',
    rule: null,
    reason: "The policy's list of tools does not give pay here.",
  })
  expect(judged([{ tool: 'read_file' }, { tool: 'pay' }])).toMatchObject({ action: 'allow', rule: 'yes' })
  expect(judged([{ tool: 'read_file' }, { tool: 'pay' }], 'refund').action).toBe('deny')
})

test('paths: members, elements, all of a list, several with commas; what is missing matches nothing', () => {
  const at = (path: string, args: Json, then: 'deny' | 'allow' = 'deny') =>
    ask([{ name: 'r', when: { args: { [path]: { equals: 1 } } }, then }], args as Record<string, Json>)
      .action === then
  const args: Json = {
    a: { b: [{ c: 2 }, { c: 1 }, { d: 1 }] },
    n: null,
    one: 1,
    list: [[1], [2]],
    nested: [[{ x: [{ y: 1 }] }]],
  }
  for (const path of [
    'a.b[1].c',
    'a.b[*].c',
    'one',
    'one[*]',
    'list',
    'list[0][0]',
    'nope , one',
    'a.c,list[*]',
    // A list where the author thought of one thing, and one thing where they thought of a list.
    'a.b.c',
    'one[0]',
    'nested.x.y',
    'a[0].b[1].c',
    'a[*].b.c[*]',
  ])
    expect([path, at(path, args)]).toEqual([path, true])
  for (const path of [
    'a.b[0].c',
    'a.b[9].c',
    'a.c',
    'n',
    'n.x',
    'one.x',
    'a.b[2].c',
    'constructor',
    'one[1]',
    'list.length',
  ])
    expect([path, at(path, args)]).toEqual([path, false])
  // An element that lacks it keeps an allowance from counting.
  expect(at('x[*].v', { x: [{ v: 1 }, { v: 1 }] }, 'allow')).toBe(true)
  expect(at('x[*].v', { x: [{ v: 1 }, {}] }, 'allow')).toBe(false)
  expect(at('x[*].v', { x: [{ v: 1 }, { v: null }] }, 'allow')).toBe(false)
  expect(at('x.v', { x: [{ v: 1 }, { v: 1 }] }, 'allow')).toBe(true)
  expect(at('x.v', { x: [{ v: 1 }, { v: 2 }] }, 'allow')).toBe(false)
  expect(at('x.v', { x: [{ v: 1 }, {}] }, 'allow')).toBe(false)
  expect(at('x', { x: [] }, 'allow')).toBe(false)
  for (const path of ['', 'a..b', '.a', 'a.', 'a[', 'a[x]', 'a[-1]', 'a,', '[]', 'a]b'])
    expect(() => at(path, args)).toThrow('is no path')
})

test('a rule that allows wants every value, one that denies any', () => {
  const inside = { recipients: ['example.com'] }
  expect([
    allows(inside, ['a@example.com', 'b@example.com']),
    allows(inside, ['a@example.com', 'b@x.org']),
  ]).toEqual([true, false])
  expect([denies(inside, ['b@x.org', 'a@example.com']), denies(inside, ['b@x.org'])]).toEqual([true, false])
  expect(denies({ not: inside }, ['a@example.com', 'b@x.org'])).toBe(true)
  expect(denies({ not: inside }, ['a@example.com'])).toBe(false)
})

test('amounts are compared as numbers, and as text that is one', () => {
  expect(
    [99, 100, '100.00', 101, '1e3', '0x64', '', true].map((x) => denies({ gt: 99, lte: 100 }, x)),
  ).toEqual([false, true, true, false, true, true, true, true])
  expect([50, '49.99', 'fifty'].map((x) => allows({ lt: 50 }, x))).toEqual([false, true, false])
  expect(denies({ gte: 0.3 }, 0.1 + 0.2)).toBe(true)
})

test('equals and in compare JSON values; what is no scalar counts against the call', () => {
  expect([1, '1', true, 'A', {}].map((x) => denies({ in: [1, 'a'] }, x))).toEqual([
    true,
    false,
    false,
    false,
    true,
  ])
  expect([false, 'false', {}].map((x) => allows({ equals: false }, x))).toEqual([true, false, false])
})

test('matches is a glob over all of the text, and takes no time on bad ones', () => {
  expect([
    globMatches('*', ''),
    globMatches('a*c', 'abcbc'),
    globMatches('a?c', 'abc'),
    globMatches('a?c', 'ac'),
    globMatches('abc', 'abcd'),
    globMatches('*.csv', 'x.csv'),
    globMatches('a*b*c', 'a-b-b-c'),
    globMatches('(a+)+$', 'aaaa'),
    globMatches('**a', 'bba'),
  ]).toEqual([true, true, true, false, false, true, true, false, true])
  const began = performance.now()
  expect(globMatches('*a'.repeat(90), 'a'.repeat(50_000) + 'b')).toBe(false)
  expect(performance.now() - began).toBeLessThan(5_000)
})

test('hosts are what the URL class says they are', () => {
  const hosts = { hosts: ['example.com', '*.sub.example', 'münchen.example', '[::1]', '10.0.0.1'] }
  const inside = [
    'https://example.com/x',
    'HTTPS://EXAMPLE.COM.:8443',
    'http://a.b.sub.example',
    'https://xn--mnchen-3ya.example',
    'http://[0:0:0:0:0:0:0:1]:80',
    'http://0x0a000001/',
    'https:\\\\example.com\\x',
    ' https://example.com ',
  ]
  expect(inside.filter((url) => !allows(hosts, url))).toEqual([])
  const outside = [
    'https://example.com@evil.example',
    'https://sub.example',
    'https://xexample.com',
    'https://example.com.evil.example',
    'https://evil.example#example.com',
    'https://evil.example\\@example.com',
  ]
  expect(outside.filter((url) => allows(hosts, url) || denies(hosts, url))).toEqual([])
  const unreadable: Json[] = ['example.com', '//example.com', '', 'mailto:a@example.com', 7, {}]
  expect(unreadable.filter((url) => allows(hosts, url) || !denies(hosts, url))).toEqual([])
})

test('recipients are addresses of a domain, or one address, in any case of letters', () => {
  const list = { recipients: ['Example.com', '*.corp.example', 'Desk@Wire.example', 'münchen.example'] }
  const inside = [
    'a@example.com',
    'A@EXAMPLE.COM',
    'a@example.com.',
    'a@x.corp.example',
    'desk@wire.EXAMPLE',
    'o@xn--mnchen-3ya.example',
  ]
  expect(inside.filter((address) => !allows(list, address))).toEqual([])
  const outside = ['a@sub.example.com', 'a@corp.example', 'x@wire.example', 'example.com@evil.example']
  expect(outside.filter((address) => allows(list, address) || denies(list, address))).toEqual([])
  const unreadable: Json[] = [
    'a@example.com, b@evil.example',
    'Ada <a@example.com>',
    'a@example.com <b@evil.example>',
    '"a"@example.com',
    'a@evil.example@example.com',
    'a@example.com/x',
    'a@[127.0.0.1]',
    'a',
    '',
    7,
  ]
  expect(unreadable.filter((address) => allows(list, address) || !denies(list, address))).toEqual([])
})

test('a call that a person changed needs what the stricter of both needs', () => {
  const held = { ...ONE_PERSON, approvers: 3, who: ['ops', 'ada'] }
  const edited = { ...ONE_PERSON, approvers: 2, seniors: 1, who: ['ada', 'cfo'], expires_in: 60 }
  expect(grown(held, edited)).toEqual({ ...held, seniors: 1, who: ['ada'] })
  expect(grown(ONE_PERSON, { ...edited, who: ['cfo'] })).toMatchObject({ approvers: 2, who: ['cfo'] })
})

test('why a call is held or denied is told in words, with the value', () => {
  const rules: RuleInput[] = [
    { name: 'large', when: { args: { 'sum.cents': { gt: 50_000 } } }, then: 'hold', risk: 'high' },
  ]
  expect(ask(rules, { sum: { cents: 90_000 } }).reason).toBe(
    'Rule "large" holds pay: sum.cents: 90000 (over 50000). It needs 2 people to approve it.',
  )
})
