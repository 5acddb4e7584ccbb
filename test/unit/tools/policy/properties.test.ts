import { expect, test, vi } from 'vitest'
import { createRandom, type Random } from '../../../../chaos/random.ts'
import type { Risk } from '../../../../tools/define.ts'
import { decide, type Judged } from '../../../../tools/policy/decide.ts'
import { type PolicyFile, readPolicy } from '../../../../tools/policy/schema.ts'

// Two seconds of work, on a machine that may have other things to do.
vi.setConfig({ testTimeout: 30_000 })

type RuleInput = PolicyFile['rules'][number]
const TIMES = 5_000
const RISKS: Risk[] = ['low', 'medium', 'high', 'critical']
const DOMAINS = ['example.com', 'partner.example', 'evil.example']

/** Runs each with a policy and a call that its number determines, which the failure names. */
function forEachCase(check: (random: Random, rules: RuleInput[], call: Judged) => void): void {
  for (let n = 0; n < TIMES; n++) {
    const random = createRandom(`policy/${n}`)
    const rules = Array.from({ length: random.int(0, 6) }, (_, index) => ruleOf(random, `r${index}`))
    const call = callOf(random)
    try {
      check(random, rules, call)
    } catch (cause) {
      throw new Error(`Case ${n}: ${JSON.stringify({ rules, call })}`, { cause })
    }
  }
}

function callOf(random: Random): Judged {
  const addresses = Array.from({ length: random.int(0, 3) }, () => addressOf(random))
  return {
    tool: random.pick(['pay', 'send', 'fetch']),
    args: {
      ...(random.chance(0.9) ? { to: random.chance(0.3) ? addressOf(random) : addresses } : {}),
      ...(random.chance(0.8) ? { cents: random.pick([0, 10, 500, '20', 'x', null]) } : {}),
    },
    risk: random.pick(RISKS),
    origin: {
      agents: [random.pick(['a', 'b'])],
      tenant: 't',
      requester: random.chance(0.5) ? 'ada' : undefined,
      roles: random.chance(0.3) ? undefined : random.pick([[], ['operator'], ['senior', 'viewer']]),
      untrusted: random.chance(0.3) ? undefined : random.pick([[], ['fetch']]),
    },
  }
}

function addressOf(random: Random): string {
  return random.chance(0.1) ? 'no address' : `x@${random.pick(DOMAINS)}`
}

function ruleOf(random: Random, name: string): RuleInput {
  const when: RuleInput['when'] = {
    tool: random.pick(['*', 'pay', 's*', ['pay', 'fetch']]),
    ...(random.chance(0.3) ? { agent: random.pick(['a', 'b', '*']) } : {}),
    ...(random.chance(0.2) ? { requester: random.pick(['ada', 'bob']) } : {}),
    ...(random.chance(0.2) ? { role: random.pick(['operator', 'senior']) } : {}),
    ...(random.chance(0.5) ? { args: { to: recipientsOf(random) } } : {}),
    ...(random.chance(0.2) ? { args: { cents: { gt: random.int(0, 600) } } } : {}),
  }
  const then = random.pick(['allow', 'hold', 'hold', 'deny'] as const)
  if (then !== 'hold') return { name, when, then }
  return { name, when, then, ...needsOf(random) }
}

function recipientsOf(random: Random) {
  const recipients = [random.pick(DOMAINS)]
  return random.chance(0.4) ? { not: { recipients } } : { recipients }
}

function needsOf(random: Random) {
  const time = random.pick(['none', 'hours', 'wait', 'escalate'])
  return {
    ...(random.chance(0.4) ? { risk: random.pick(['medium', 'high', 'critical'] as const) } : {}),
    ...(random.chance(0.4) ? { approvers: random.int(1, 4) } : {}),
    ...(random.chance(0.3) ? { seniors: random.int(0, 3) } : {}),
    ...(random.chance(0.3) ? { who: random.pick([['x'], ['y'], ['x', 'y']]) } : {}),
    ...(time === 'hours' ? { expires_in: random.int(1, 9) * 3_600 } : {}),
    ...(time === 'wait' ? { on_expiry: 'wait' as const } : {}),
    ...(time === 'escalate' ? { on_expiry: { escalate: { to: ['x'], expires_in: random.int(1, 2) } } } : {}),
  }
}

const ruling = (rules: RuleInput[], call: Judged) => decide(readPolicy({ rules }), call)

test('the order of the rules says nothing', () => {
  const actions = new Set<string>()
  forEachCase((random, rules, call) => {
    const one = ruling(rules, call)
    actions.add(`${one.action} ${one.rule === null}`)
    expect(ruling(random.shuffle(rules), call)).toEqual(one)
  })
  // Else nothing was shown.
  expect([...actions].toSorted()).toEqual([
    'allow false',
    'allow true',
    'deny false',
    'hold false',
    'hold true',
  ])
})

test('a rule that denies counts, whatever stands beside it', () => {
  forEachCase((random, rules, call) => {
    const deny: RuleInput = { name: 'stop', when: { tool: call.tool }, then: 'deny' }
    const { action, rule } = ruling(random.shuffle([...rules, deny]), call)
    expect(action).toBe('deny')
    expect(rule?.split(', ')).toContain('stop')
  })
})

test('a rule more that holds makes no call easier', () => {
  let compared = 0
  forEachCase((random, rules, call) => {
    const before = ruling(rules, call)
    const added = { name: 'more', when: { tool: '*' }, then: 'hold', ...needsOf(random) } satisfies RuleInput
    const after = ruling([...rules, added], call)
    expect(after.action).not.toBe('allow')
    if (before.action === 'deny') expect(after.action).toBe('deny')
    if (before.action !== 'hold' || before.rule === null || after.action !== 'hold') return
    compared += 1
    expect(after.needs.approvers).toBeGreaterThanOrEqual(before.needs.approvers)
    expect(after.needs.seniors).toBeGreaterThanOrEqual(before.needs.seniors)
    expect(after.needs.approvers).toBeGreaterThanOrEqual(after.needs.seniors)
    expect(after.needs.expires_in === null).toBe(after.needs.on_expiry === 'wait')
  })
  expect(compared).toBeGreaterThan(TIMES / 20)
})

test('a rule that allows recipients allows only where every one of them is among its own', () => {
  let allowed = 0
  forEachCase((random, _, call) => {
    const recipients = DOMAINS.filter(() => random.chance(0.6))
    if (recipients.length === 0) return
    const rule: RuleInput = { name: 'ours', when: { args: { to: { recipients } } }, then: 'allow' }
    const given = [call.args['to'] ?? []].flat() as string[]
    const all = given.length > 0 && given.every((to) => recipients.some((domain) => to === `x@${domain}`))
    if (all) allowed += 1
    expect(ruling([rule], { ...call, risk: 'medium' }).action).toBe(all ? 'allow' : 'hold')
  })
  expect(allowed).toBeGreaterThan(TIMES / 20)
})
