import { domainToASCII } from 'node:url'
import type { Json } from '../../runtime/json.ts'
import type { Condition, Operators } from './schema.ts'

/** `undefined`: the condition cannot be applied to the value, such as an amount to a name. */
export type Answer = boolean | undefined

const DECIMAL = /^-?\d{1,15}(\.\d{1,15})?$/
/** One address and nothing beside it: no name, no second one, no quotes. */
const ADDRESS = /^([^\s@<>,;:()"[\]\\]+)@([\w.\u0080-\uffff-]+)$/
const SHOWN = 100

/** Whether one value satisfies all that the condition says. */
export function satisfies(value: Json, { not, ...operators }: Condition): Answer {
  const inner = not === undefined ? true : inverse(operatorsHold(value, not))
  return allOf([operatorsHold(value, operators), inner])
}

/** False counts first, then what cannot be said. */
export function allOf(answers: Answer[]): Answer {
  if (answers.includes(false)) return false
  return answers.includes(undefined) ? undefined : true
}

function inverse(answer: Answer): Answer {
  return answer === undefined ? undefined : !answer
}

function operatorsHold(value: Json, operators: Operators): Answer {
  const { equals, in: list, gt, gte, lt, lte, matches, hosts, recipients } = operators
  const amount = amountOf(value)
  const compared = (limit: number | undefined, holds: (amount: number, limit: number) => boolean) =>
    limit === undefined ? true : amount === undefined ? undefined : holds(amount, limit)
  return allOf([
    equals === undefined ? true : isOneOf(value, [equals]),
    list === undefined ? true : isOneOf(value, list),
    compared(gt, (a, b) => a > b),
    compared(gte, (a, b) => a >= b),
    compared(lt, (a, b) => a < b),
    compared(lte, (a, b) => a <= b),
    matches === undefined ? true : textMatches(value, matches),
    hosts === undefined ? true : hostAmong(value, hosts),
    recipients === undefined ? true : recipientAmong(value, recipients),
  ])
}

function isOneOf(value: Json, list: (string | number | boolean)[]): Answer {
  if (typeof value === 'object') return undefined
  return list.includes(value)
}

/** Money is often text, so that it stays exact. */
function amountOf(value: Json): number | undefined {
  if (typeof value === 'number') return value
  return typeof value === 'string' && DECIMAL.test(value) ? Number(value) : undefined
}

function textMatches(value: Json, glob: string): Answer {
  return typeof value === 'object' ? undefined : globMatches(glob, String(value))
}

function hostAmong(value: Json, hosts: string[]): Answer {
  if (typeof value !== 'string' || !URL.canParse(value)) return undefined
  const host = plainHost(new URL(value).hostname)
  return host === '' ? undefined : hosts.some((one) => isOfDomain(host, one))
}

function recipientAmong(value: Json, recipients: string[]): Answer {
  const parts = typeof value === 'string' ? ADDRESS.exec(value.trim().toLowerCase()) : null
  const domain = plainHost(parts?.[2] ?? '')
  if (parts === null || domain === '') return undefined
  const [, local] = parts
  return recipients.some((one) => {
    const [name, at] = one.toLowerCase().split('@')
    return at === undefined ? isOfDomain(domain, one) : name === local && plainHost(at) === domain
  })
}

/** `*.example.com` is every name below it, not itself. */
function isOfDomain(host: string, domain: string): boolean {
  if (!domain.startsWith('*.')) return host === plainHost(domain)
  return host.endsWith(`.${plainHost(domain.slice(2))}`)
}

/** In the letters that DNS has, without the root's dot; empty where it is no host. */
export function plainHost(host: string): string {
  const ascii = host.startsWith('[') ? addressOf(host) : domainToASCII(host)
  return ascii.endsWith('.') ? ascii.slice(0, -1) : ascii
}

function addressOf(host: string): string {
  const url = `http://${host}`
  return URL.canParse(url) ? new URL(url).hostname : ''
}

/** `*` is any text, `?` one character. No regular expression: its time is at most pattern times text. */
export function globMatches(glob: string, text: string): boolean {
  let [at, from, star, retry] = [0, 0, -1, 0]
  while (from < text.length) {
    if (at < glob.length && glob[at] === '*') {
      star = at
      retry = from
      at += 1
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === text[from])) {
      at += 1
      from += 1
    } else if (star >= 0) {
      retry += 1
      at = star + 1
      from = retry
    } else return false
  }
  while (glob[at] === '*') at += 1
  return at === glob.length
}

/** Such as `to: "x@rival.example" (not among example.com)`. */
export function inWords(path: string, value: Json, condition: Condition): string {
  const shown = JSON.stringify(value)
  const cut = shown.length > SHOWN ? `${shown.slice(0, SHOWN)}…` : shown
  const { not, ...operators } = condition
  const words = [...wordsOf(operators), ...(not === undefined ? [] : [`not ${wordsOf(not).join(' and ')}`])]
  return `${path}: ${cut} (${words.join(' and ')})`
}

function wordsOf(operators: Operators): string[] {
  const { equals, in: list, gt, gte, lt, lte, matches, hosts, recipients } = operators
  const lists = [list, hosts, recipients].filter((one) => one !== undefined)
  return [
    ...(equals === undefined ? [] : [JSON.stringify(equals)]),
    ...lists.map((one) => `among ${one.slice(0, 5).join(', ')}${one.length > 5 ? ', …' : ''}`),
    ...(gt === undefined ? [] : [`over ${gt}`]),
    ...(gte === undefined ? [] : [`at least ${gte}`]),
    ...(lt === undefined ? [] : [`under ${lt}`]),
    ...(lte === undefined ? [] : [`at most ${lte}`]),
    ...(matches === undefined ? [] : [`like ${matches}`]),
  ]
}
