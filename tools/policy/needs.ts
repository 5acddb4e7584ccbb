import { type Needs, ONE_PERSON } from '../../runtime/needs.ts'
import { hasRole, isRole } from '../../runtime/people.ts'
import type { Risk } from '../define.ts'
import type { HoldRule, Policy } from './schema.ts'

type People = Pick<Needs, 'approvers' | 'seniors'>

/** Whom a call of this risk needs, where no rule says otherwise. */
const PEOPLE: Record<Risk, People> = {
  low: { approvers: 0, seniors: 0 },
  medium: { approvers: 1, seniors: 0 },
  high: { approvers: 2, seniors: 0 },
  critical: { approvers: 2, seniors: 1 },
}
const RISKS: Risk[] = ['low', 'medium', 'high', 'critical']

/** `undefined`: nobody. */
export function needsOfRisk(risk: Risk): Needs | undefined {
  return PEOPLE[risk].approvers === 0 ? undefined : { ...ONE_PERSON, ...PEOPLE[risk] }
}

/**
 * The strictest of each need of the rules, of which there is one or more. A rule that names no risk asks for no less
 * than the tool's own. `undefined`: nobody is on the list of all of them.
 */
export function strictest(rules: HoldRule[], toolRisk: Risk): { risk: Risk; needs: Needs } | undefined {
  const risks = rules.map(({ risk }) => risk ?? toolRisk)
  const people = rules.map((rule) => peopleOf(rule, toolRisk))
  const seniors = Math.max(...people.map((one) => one.seniors))
  const lists = rules.flatMap(({ who }) => (who === undefined ? [] : [who]))
  const who = lists.length === 0 ? ONE_PERSON.who : inAll(lists)
  if (who.length === 0) return undefined
  const on_expiry = strictestEnd(rules)
  const times = rules.flatMap(({ expires_in }) => expires_in ?? [])
  return {
    risk: RISKS[Math.max(...risks.map((risk) => RISKS.indexOf(risk)))] ?? toolRisk,
    needs: {
      approvers: Math.max(1, seniors, ...people.map((one) => one.approvers)),
      seniors,
      who,
      expires_in: on_expiry === 'wait' ? null : times.length > 0 ? Math.min(...times) : ONE_PERSON.expires_in,
      on_expiry,
    },
  }
}

/** The rules whose holds one principal who is no senior cannot release, by name. */
export function beyondOne({ rules }: Policy): string[] {
  const holds = rules.filter((rule) => rule.then === 'hold')
  return holds.flatMap((rule) => {
    const { approvers = 1, seniors = 0, who = ONE_PERSON.who } = strictest([rule], 'medium')?.needs ?? {}
    return approvers > 1 || seniors > 0 || !who.includes('approver') ? [rule.name] : []
  })
}

function peopleOf({ risk, approvers, seniors }: HoldRule, toolRisk: Risk): People {
  if (risk !== undefined)
    return { approvers: approvers ?? PEOPLE[risk].approvers, seniors: seniors ?? PEOPLE[risk].seniors }
  const floor = PEOPLE[toolRisk]
  return {
    approvers: Math.max(approvers ?? 0, floor.approvers),
    seniors: Math.max(seniors ?? 0, floor.seniors),
  }
}

/** Whom every list names, or names by a role that theirs includes. */
function inAll(lists: string[][]): string[] {
  const names = [...new Set(lists.flat())]
  return names.filter((name) => lists.every((list) => list.some((one) => includes(one, name)))).toSorted()
}

/** Whether whoever has the role `name` has the role `one`, too. What is no role is somebody's name. */
function includes(one: string, name: string): boolean {
  return one === name || (isRole(one) && isRole(name) && hasRole({ roles: [name] }, one))
}

/** To reject is stricter than to ask others, which is stricter than to wait. Two that ask different others reject. */
function strictestEnd(rules: HoldRule[]): Needs['on_expiry'] {
  const ends = rules.flatMap(({ on_expiry }) => on_expiry ?? [])
  const escalations = ends.filter((end) => typeof end === 'object')
  const [first, ...others] = escalations.map((end) => JSON.stringify(end))
  if (ends.includes('reject') || others.some((other) => other !== first)) return 'reject'
  if (escalations[0] !== undefined) return escalations[0]
  const waits = ends.includes('wait') && rules.every(({ expires_in }) => expires_in === undefined)
  return waits ? 'wait' : ONE_PERSON.on_expiry
}

/** What releases a call whose arguments a person has changed: no less than it needed before. */
export function grown(held: Needs, edited: Needs): Needs {
  const who = inAll([held.who, edited.who])
  return {
    ...held,
    approvers: Math.max(held.approvers, edited.approvers),
    seniors: Math.max(held.seniors, edited.seniors),
    who: who.length > 0 ? who : edited.who,
  }
}
