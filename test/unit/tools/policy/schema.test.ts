import { readdir, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { judgeRecorded } from '../../../../tools/policy/recorded-calls.ts'
import { NO_RULES, readPolicy } from '../../../../tools/policy/schema.ts'
import { TOOLS } from '../../../../tools/registry.ts'

const EXAMPLES = new URL('../../../../examples/policy/', import.meta.url)
const when = { tool: 'pay' }

test('what is wrong in a policy is named with its place and what to write', () => {
  const problem = (rule: object, ...others: object[]) => {
    try {
      readPolicy({ rules: [rule, ...others] })
    } catch (error) {
      return (error as Error).message
    }
    return 'nothing'
  }
  const of = (more: object) => problem({ name: 'r', when, then: 'hold', ...more })
  expect(of({})).toBe('nothing')
  expect(of({ then: 'block' })).toMatch(/^rules\[0\]\.then: /)
  expect(of({ approver: 2 })).toBe('rules[0]: Unrecognized key: "approver"')
  expect(of({ when: {} })).toBe('rules[0].when: must say when. For every call: { tool: "*" }')
  expect(of({ when: { args: { 'a[': { equals: 1 } } } })).toMatch(
    /^rules\[0\]\.when\.args\.a\[: .*is no path/,
  )
  expect(of({ when: { args: { to: {} } } })).toBe('rules[0].when.args.to: must have a condition')
  expect(of({ when: { args: { to: { not: {} } } } })).toBe('rules[0].when.args.to.not: must have a condition')
  expect(of({ when: { args: { url: { hosts: ['https://example.com/'] } } } })).toBe(
    'rules[0].when.args.url.hosts[0]: must be a host such as example.com or *.example.com',
  )
  expect(of({ when: { args: { to: { recipients: ['a b@example.com'] } } } })).toMatch(
    /recipients\[0\]: must be a domain/,
  )
  expect(of({ risk: 'low' })).toMatch(/^rules\[0\]: holds nobody/)
  expect(of({ expires_in: '4 hours' })).toBe('rules[0].expires_in: must be a duration such as 30m, 4h or 2d')
  expect(of({ expires_in: '900d' })).toBe('rules[0].expires_in: must be a year or less')
  expect(of({ expires_in: '1h', on_expiry: 'wait' })).toMatch(/^rules\[0\]: has expires_in, and on_expiry/)
  expect(of({ name: 'a, b' })).toBe('rules[0].name: must be a line without commas and quotes')
  expect(problem({ name: 'r', when, then: 'deny' }, { name: 'r', when, then: 'allow' })).toBe(
    'rules[1].name: another rule is called "r"',
  )
  expect(of({ when: { role: 'operater' } })).toMatch(/^rules\[0\]\.when\.role: /)
  expect(() => readPolicy({ rules: [], tools: [{ agent: 'react' }] })).toThrow(/^tools\[0\]\.tool: /)
  expect(of({ reason: '\ud800' })).toBe('the policy: half a surrogate pair is not text')
  expect(() => readPolicy([])).toThrow(/^the policy: /)
})

test('the version follows from what the rules say, not from how they are written', () => {
  const version = (rule: object) => readPolicy({ rules: [rule] }).version
  const rule = { name: 'r', when, then: 'hold', expires_in: '4h' }
  expect(version(rule)).toMatch(/^[0-9a-f]{12}$/)
  expect(
    version({ expires_in: 14_400, then: 'hold', when: { tool: ['pay'] }, name: 'r', who: undefined }),
  ).toBe(version(rule))
  expect(version({ ...rule, expires_in: '5h' })).not.toBe(version(rule))
  expect(NO_RULES.version).not.toBe(version(rule))
  // An allowlist that gives nothing is another policy than none.
  expect(readPolicy({ rules: [], tools: [] }).version).not.toBe(NO_RULES.version)
})

test('each call of the examples is judged as its line expects', async () => {
  const names = (await readdir(EXAMPLES)).filter((name) => name.endsWith('.json'))
  expect(names.length).toBeGreaterThanOrEqual(3)
  for (const name of names) {
    const policy = readPolicy(JSON.parse(await readFile(new URL(name, EXAMPLES), 'utf8')))
    const calls = await readFile(new URL(name.replace('.json', '.calls.jsonl'), EXAMPLES), 'utf8')
    const judged = judgeRecorded(policy, TOOLS, calls)
    expect(judged.map(({ action }) => action)).toEqual(judged.map(({ expect: expected }) => expected))
    // No rule is there that no call shows.
    const shown = new Set(judged.flatMap(({ rule }) => rule?.split(', ') ?? []))
    expect([...shown].toSorted()).toEqual(policy.rules.map((rule) => rule.name).toSorted())
  }
})

test('a recorded call that cannot be judged is named by its line', () => {
  const judging = (text: string) => () => judgeRecorded(NO_RULES, TOOLS, text)
  expect(judging('\n{"tool": "x"')).toThrow('line 2: it is no JSON. Write one call a line.')
  expect(judging('{"tool":"x","args":{},"expects":"deny"}')).toThrow(
    'line 1: the call: Unrecognized key: "expects"',
  )
  expect(judging('{"tool":"x","args":{}}')).toThrow(
    'line 1: "x" is no tool of Holdpoint\'s. Add its "risk" to the line.',
  )
})
