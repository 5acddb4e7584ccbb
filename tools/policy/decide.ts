import { type Needs, ONE_PERSON, peopleOf } from '../../runtime/needs.ts'
import type { Json } from '../../runtime/json.ts'
import type { Risk } from '../define.ts'
import { allOf, type Answer, globMatches, inWords, satisfies } from './condition.ts'
import { needsOfRisk, strictest } from './needs.ts'
import { valuesAt } from './path.ts'
import type { HoldRule, Policy, Rule } from './schema.ts'

/** For whom a call is made. What is not known satisfies every rule but one that allows. */
export interface Origin {
  /** The graph's id and the assistant's: a rule may name either. */
  agents: string[] | undefined
  tenant: string | undefined
  requester: string | undefined
  /** The requester's. */
  roles: readonly string[] | undefined
  /** Tools whose untrusted results the thread has. */
  untrusted: readonly string[] | undefined
}

export interface Judged {
  tool: string
  args: Record<string, Json>
  /** The tool's own. */
  risk: Risk
  /** A question to people, which no rule answers in their place. */
  asks?: boolean | undefined
  origin: Origin
}

export interface Ruling {
  action: 'allow' | 'hold' | 'deny'
  /** The names of the rules that made it, with commas between; null: the tool's own risk did. */
  rule: string | null
  risk: Risk
  /** What releases it, where it is held. */
  needs: Needs
  reason: string
}

/** Whether the allowlist gives the tool. What is not known is in no entry. Without an allowlist the graph's own says it all. */
export function isGiven({ tools }: Pick<Policy, 'tools'>, tool: string, origin: Origin): boolean {
  return tools === undefined || tools.some((entry) => isFor(entry, tool, origin) === true)
}

export function notGiven(tool: string): string {
  return `The policy's list of tools does not give ${tool} here.`
}

/** Asks the allowlist first. Then looks at every rule: one that denies counts more than all that hold, and those more than all that allow. */
export function decide(policy: Policy, call: Judged): Ruling {
  const { tool, risk, origin } = call
  if (!isGiven(policy, tool, origin))
    return { action: 'deny', rule: null, risk, needs: ONE_PERSON, reason: notGiven(tool) }
  const matching = policy.rules
    .filter((rule) => matches(rule, call))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const denying = matching.filter(({ then }) => then === 'deny')
  if (denying.length > 0) return denied(denying, call, reasonsOf(denying, call))
  const holding = matching.filter((rule) => rule.then === 'hold')
  if (holding.length > 0) return held(holding, call)
  const allowing = matching.filter(({ then }) => then === 'allow')
  if (allowing.length === 0 || call.asks === true) return byRisk(call)
  return {
    action: 'allow',
    rule: namesOf(allowing),
    risk: call.risk,
    needs: ONE_PERSON,
    reason: `${said(allowing, 'allows', 'allow')} ${call.tool}${reasonsOf(allowing, call)}`,
  }
}

function denied(rules: Rule[], { tool, risk }: Judged, why: string): Ruling {
  const reason = `${said(rules, 'denies', 'deny')} ${tool}${why}`
  return { action: 'deny', rule: namesOf(rules), risk, needs: ONE_PERSON, reason }
}

function held(rules: HoldRule[], call: Judged): Ruling {
  const asked = strictest(rules, call.risk)
  if (asked === undefined)
    return denied(rules, call, ': nobody is in the "who" of all of them, so nobody could approve it.')
  const { risk, needs } = asked
  const reason = `${said(rules, 'holds', 'hold')} ${call.tool}${reasonsOf(rules, call)} It needs ${peopleOf(needs)} to approve it.`
  return { action: 'hold', rule: namesOf(rules), risk, needs, reason }
}

function byRisk({ tool, risk, asks }: Judged): Ruling {
  const needs = needsOfRisk(risk) ?? (asks === true ? ONE_PERSON : undefined)
  if (needs === undefined) {
    return { action: 'allow', rule: null, risk, needs: ONE_PERSON, reason: `${tool} has ${risk} risk.` }
  }
  const verb = needs.approvers === 1 ? 'has' : 'have'
  const reason =
    asks === true
      ? `${tool} is a question to people. Respond with the answer.`
      : `${tool} has ${risk} risk: ${peopleOf(needs)} ${verb} to approve it before it runs.`
  return { action: 'hold', rule: null, risk, needs, reason }
}

function matches({ when, then }: Rule, call: Judged): boolean {
  const answer = allOf([
    isFor(when, call.tool, call.origin),
    ...Object.keys(when.args ?? {}).map((path) => argMatches({ when, then }, path, call.args)),
  ])
  return counts(answer, then)
}

function isFor(when: Omit<Rule['when'], 'args'>, tool: string, origin: Origin): Answer {
  const { agents, tenant, requester, roles, untrusted } = origin
  return allOf([
    named(when.tool, [tool]),
    named(when.agent, agents),
    named(when.tenant, tenant === undefined ? undefined : [tenant]),
    named(when.requester, requester === undefined ? undefined : [requester]),
    named(when.role, roles),
    hasRead(when.untrusted, untrusted),
  ])
}

/** What cannot be said counts against the call. */
function counts(answer: Answer, then: Rule['then']): boolean {
  return answer ?? then !== 'allow'
}

function hasRead(asked: boolean | string[] | undefined, sources: readonly string[] | undefined): Answer {
  if (asked === undefined) return true
  if (sources === undefined) return undefined
  return typeof asked === 'boolean' ? asked === sources.length > 0 : (named(asked, sources) ?? false)
}

function named(globs: string[] | undefined, names: readonly string[] | undefined): Answer {
  if (globs === undefined) return true
  return names?.some((name) => globs.some((glob) => globMatches(glob, name)))
}

/** A rule that allows wants it of all values; one that holds or denies, of any. */
function argMatches(rule: Pick<Rule, 'when' | 'then'>, path: string, args: Json): boolean {
  const { values, complete } = valuesAt(args, path)
  if (values.length === 0) return false
  return rule.then === 'allow'
    ? complete && values.every((value) => valueMatches(rule, path, value))
    : values.some((value) => valueMatches(rule, path, value))
}

function valueMatches({ when, then }: Pick<Rule, 'when' | 'then'>, path: string, value: Json): boolean {
  const condition = when.args?.[path]
  return condition !== undefined && counts(satisfies(value, condition), then)
}

function namesOf(rules: Rule[]): string {
  return rules.map(({ name }) => name).join(', ')
}

function said(rules: Rule[], verb: string, plural: string): string {
  const names = rules.map(({ name }) => `"${name}"`).join(', ')
  return rules.length === 1 ? `Rule ${names} ${verb}` : `Rules ${names} ${plural}`
}

function reasonsOf(rules: Rule[], call: Judged): string {
  const reasons = rules.map((rule) => rule.reason ?? wordsOf(rule, call)).filter((words) => words !== '')
  return reasons.length === 0 ? '.' : `: ${reasons.join('; ').replace(/\.$/, '')}.`
}

/** The first value that each condition found. */
function wordsOf(rule: Rule, { args }: Judged): string {
  const words = Object.entries(rule.when.args ?? {}).map(([path, condition]) => {
    const value = valuesAt(args, path).values.find((one) => valueMatches(rule, path, one))
    return inWords(path, value ?? null, condition)
  })
  return words.join(', ')
}
