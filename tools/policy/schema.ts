import { createHash } from 'node:crypto'
import { z } from 'zod'
import { canonicalJson, hasCanonicalForm } from '../../runtime/call.ts'
import { toJson } from '../../runtime/json.ts'
import { ROLES } from '../../runtime/people.ts'
import { plainHost } from './condition.ts'
import { isPath } from './path.ts'

const YEAR_S = 366 * 86_400
const UNITS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** Seconds, or such as `90s`, `30m`, `4h`, `2d`. */
const Duration = z
  .union([z.int(), z.string().regex(/^\d{1,9}[smhd]$/, 'must be a duration such as 30m, 4h or 2d')])
  .transform((given) =>
    typeof given === 'number' ? given : Number(given.slice(0, -1)) * (UNITS[given.slice(-1)] ?? 1),
  )
  .pipe(z.int().min(1, 'must be a second or more').max(YEAR_S, 'must be a year or less'))

const Name = z.string().min(1).max(200)
/** Roles and identities. */
const Who = z.array(Name).min(1).max(100)
const Globs = z.union([Name, z.array(Name).min(1).max(200)]).transform((given) => [given].flat())

const Scalar = z.union([z.string(), z.number(), z.boolean()])
const isHost = (name: string) => /^[^\s/:@*]+$|^\[[0-9a-f:.]+\]$/i.test(name) && plainHost(name) !== ''
const isDomain = (name: string) => isHost(name.replace(/^\*\./, ''))
const Host = z.string().refine(isDomain, 'must be a host such as example.com or *.example.com')
const Recipient = z
  .string()
  .refine(
    (one) => isDomain(one) || (/^[^\s@*]+@/.test(one) && isHost(one.slice(one.indexOf('@') + 1))),
    'must be a domain, *.domain, or a mail address',
  )

const operators = {
  equals: Scalar.optional(),
  in: z.array(Scalar).min(1).max(1_000).optional(),
  gt: z.number().optional(),
  gte: z.number().optional(),
  lt: z.number().optional(),
  lte: z.number().optional(),
  matches: Name.optional(),
  hosts: z.array(Host).min(1).max(1_000).optional(),
  recipients: z.array(Recipient).min(1).max(1_000).optional(),
}
const isSaid = (condition: object) => Object.values(condition).some((value) => value !== undefined)
const Operators = z.strictObject(operators).refine(isSaid, 'must have a condition')
const Condition = z
  .strictObject({ ...operators, not: Operators.optional() })
  .refine(isSaid, 'must have a condition')

/** For whom a call is made, and after what. */
const origin = {
  agent: Globs.optional(),
  tenant: Globs.optional(),
  requester: Globs.optional(),
  /** One of them is the requester's, as it was given to them: an admin is no operator here. */
  role: z
    .union([z.enum(ROLES), z.array(z.enum(ROLES)).min(1)])
    .transform((given) => [given].flat())
    .optional(),
  /** Whether results that others can write into are in the thread; or those of these tools. */
  untrusted: z.union([z.boolean(), Globs]).optional(),
}

const When = z
  .strictObject({
    tool: Globs.optional(),
    ...origin,
    args: z
      .record(z.string(), Condition)
      .superRefine((args, { addIssue }) => {
        for (const path of Object.keys(args).filter((one) => !isPath(one)))
          addIssue({ code: 'custom', path: [path], message: 'is no path, such as a.b[0].c, a[*].c or a, b' })
      })
      .refine(isSaid, 'must name a path')
      .optional(),
  })
  .refine(isSaid, 'must say when. For every call: { tool: "*" }')

const said = {
  name: z
    .string()
    .max(100)
    .regex(/^[^\s,"\p{C}]([^,"\p{C}]*[^\s,"\p{C}])?$/u, 'must be a line without commas and quotes'),
  when: When,
  /** For the approver of a hold, for the model where it denies. */
  reason: z.string().min(1).max(1_000).optional(),
}

const RISKS = ['low', 'medium', 'high', 'critical'] as const

const HoldRule = z
  .strictObject({
    ...said,
    then: z.literal('hold'),
    risk: z.enum(RISKS).optional(),
    approvers: z.int().min(1).max(100).optional(),
    seniors: z.int().min(0).max(100).optional(),
    who: Who.optional(),
    expires_in: Duration.optional(),
    on_expiry: z
      .union([
        z.enum(['reject', 'wait']),
        z.strictObject({ escalate: z.strictObject({ to: Who, expires_in: Duration }) }),
      ])
      .optional(),
  })
  .refine(
    ({ risk, approvers }) => risk !== 'low' || approvers !== undefined,
    'holds nobody: a call of low risk needs no approval. Say then: "allow", or how many approvers',
  )
  .refine(
    ({ on_expiry, expires_in }) => on_expiry !== 'wait' || expires_in === undefined,
    'has expires_in, and on_expiry: "wait", which never expires. Say one of them',
  )

const Rule = z.discriminatedUnion('then', [
  z.strictObject({ ...said, then: z.literal('allow') }),
  z.strictObject({ ...said, then: z.literal('deny') }),
  HoldRule,
])
export type Rule = z.output<typeof Rule>
export type HoldRule = z.output<typeof HoldRule>
export type When = z.output<typeof When>
export type Condition = z.output<typeof Condition>
export type Operators = z.output<typeof Operators>

/** An entry of the allowlist: these tools, for whoever all of it names. */
const Given = z.strictObject({ tool: Globs, ...origin })
export type Given = z.output<typeof Given>

const File = z.strictObject({ tools: z.array(Given).max(1_000).optional(), rules: z.array(Rule).max(1_000) })

/** What a policy file exports: `export default { rules: […] } satisfies PolicyFile`. */
export type PolicyFile = z.input<typeof File>

export interface Policy {
  /** Where it is there, a tool that no entry gives is denied. */
  tools?: Given[] | undefined
  rules: Rule[]
  /** Of SHA-256 over the canonical JSON of the policy as it was read, the first 12 digits. */
  version: string
}

/** Throws one line that names each place that is wrong. */
export function readPolicy(value: unknown): Policy {
  const parsed = File.safeParse(value)
  if (!parsed.success) {
    const issues = parsed.error.issues.slice(0, 5).map(({ path, message }) => `${placeOf(path)}: ${message}`)
    throw new Error(issues.join('; '))
  }
  const { tools, rules } = parsed.data
  const names = rules.map(({ name }) => name)
  const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
  if (twice >= 0) throw new Error(`rules[${twice}].name: another rule is called "${names[twice]}"`)
  const json = toJson({ rules, ...(tools === undefined ? {} : { tools }) })
  if (!hasCanonicalForm(json)) throw new Error('the policy: half a surrogate pair is not text')
  const version = createHash('sha256').update(canonicalJson(json)).digest('hex').slice(0, 12)
  return { tools, rules, version }
}

/** `rules[2].when.args.to`. */
function placeOf(path: PropertyKey[]): string {
  const place = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('')
  return place === '' ? 'the policy' : place.replace(/^\./, '')
}

/** Where there is no file: tools' own risks count. */
export const NO_RULES: Policy = readPolicy({ rules: [] })
