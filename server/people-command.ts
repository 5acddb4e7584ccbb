import { parseArgs } from 'node:util'
import { newApiKey, secretHash, textOf } from '../runtime/api-key.ts'
import { EVERY_TENANT, isRole, type People, type Person, ROLES, type Role } from '../runtime/people.ts'

export const PEOPLE_USAGE = `holdpoint keys create --person NAME [--role ROLE]… [--tenant NAME] [--expires 90d]
holdpoint keys list | revoke KEY_ID
holdpoint people list | disable NAME | roles NAME ROLE…`

/** Who asks from here, in the record. */
export const BY = 'command line'
const SECONDS = { m: 60, h: 3_600, d: 86_400 }
const MAX_DAYS = 3_650
/** Of ours: nobody else may speak in them. */
const RESERVED: string[] = ['local', 'holdpoint', BY, ...ROLES]

export type PeopleCommand =
  | {
      name: 'keys create'
      identity: string
      kind: Person['kind']
      roles: Role[]
      tenant: string | undefined
      expiresInSeconds: number | undefined
    }
  | { name: 'keys revoke'; keyId: string }
  | { name: 'people disable'; identity: string }
  | { name: 'people roles'; identity: string; roles: Role[] }
  | { name: 'keys list' | 'people list' }

const text = { type: 'string' } as const
const OPTIONS = {
  person: text,
  agent: text,
  role: { ...text, multiple: true },
  tenant: text,
  expires: text,
  help: { type: 'boolean', short: 'h' },
} as const

/** Reads what stands behind `holdpoint`. Throws one line. `undefined`: help is wanted. */
export function readPeopleCommand(argv: string[]): PeopleCommand | undefined {
  const { values, positionals } = parseArgs({ args: argv, options: OPTIONS, allowPositionals: true })
  if (values.help === true) return undefined
  const [topic = '', action = '', ...more] = positionals
  const name = `${topic} ${action}`
  if (name === 'keys create') return readCreate(values, more)
  const [other] = Object.keys(values)
  if (other !== undefined) throw new Error(`${name} takes no --${other}`)
  switch (name) {
    case 'keys list':
    case 'people list':
      if (more.length > 0) throw new Error(`${name} takes no "${more[0]}"`)
      return { name }
    case 'keys revoke':
      return { name, keyId: only(name, more, 'the id of a key, the part between hp_ and the next _') }
    case 'people disable':
      return { name, identity: only(name, more, 'a name') }
    case 'people roles': {
      const [identity, ...roles] = more
      if (identity === undefined || roles.length === 0) throw new Error('people roles wants a name and roles')
      return { name, identity, roles: roles.map(roleOf) }
    }
    default:
      throw new Error(`There is no ${name.trim()}`)
  }
}

interface Given {
  person?: string | undefined
  agent?: string | undefined
  role?: string[] | undefined
  tenant?: string | undefined
  expires?: string | undefined
}

function readCreate({ person, agent, role = [], tenant, expires }: Given, [extra]: string[]): PeopleCommand {
  if (extra !== undefined) throw new Error(`keys create takes no "${extra}"`)
  if ((person === undefined) === (agent === undefined))
    throw new Error('keys create wants --person NAME, or --agent NAME for a program that decides nothing')
  const identity = person ?? agent ?? ''
  if (!/^[^\s\p{C}]{1,100}$/u.test(identity)) throw new Error('A name has 1 to 100 characters, and no space')
  if (RESERVED.includes(identity)) throw new Error(`"${identity}" is a name of the server's own`)
  if (tenant !== undefined && (tenant === EVERY_TENANT || !/^[\w.-]{1,60}$/.test(tenant)))
    throw new Error('A tenant is 1 to 60 letters, digits, dots and dashes')
  return {
    name: 'keys create',
    identity,
    kind: person === undefined ? 'agent' : 'person',
    roles: ROLES.filter((one) => role.map(roleOf).includes(one)),
    tenant,
    expiresInSeconds: expires === undefined ? undefined : secondsOf(expires),
  }
}

function only(name: string, [one, ...more]: string[], what: string): string {
  if (one === undefined || more.length > 0) throw new Error(`${name} wants ${what}`)
  return one
}

function roleOf(name: string): Role {
  if (isRole(name)) return name
  throw new Error(`There is no role "${name}": there are ${ROLES.join(', ')}`)
}

/** Of a time such as 90d. Throws one line. */
export function secondsOf(time: string): number {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(time) ?? []
  const seconds = Number(count) * SECONDS[unit as keyof typeof SECONDS]
  if (seconds > 0 && seconds <= MAX_DAYS * SECONDS.d) return seconds
  throw new Error('--expires is such as 90d, 12h or 30m, up to ten years')
}

/** Does it, and says what there is to say: `out` takes what programs read. Returns the exit code. */
export async function carryOut(
  people: People,
  command: PeopleCommand,
  { out, say }: { out: (line: string) => void; say: (line: string) => void },
): Promise<number> {
  switch (command.name) {
    case 'keys create': {
      const key = newApiKey()
      const { name: _, ...asked } = command
      const made = await people.createKey({ ...asked, key_id: key.id, secret_sha256: secretHash(key) }, BY)
      say(
        `A key of ${made.identity} (${made.roles.join(', ')}; tenant ${made.tenant}). It is shown this once:`,
      )
      out(textOf(key))
      return 0
    }
    case 'keys list':
      for (const key of await people.keys()) {
        const end = key.revoked_at
          ? `revoked ${key.revoked_at}`
          : key.expires_at
            ? `expires ${key.expires_at}`
            : 'no end'
        out(
          [
            `hp_${key.key_id}`,
            key.identity,
            `made ${key.created_at}`,
            end,
            `last used ${key.last_used ?? 'never'}`,
          ].join('\t'),
        )
      }
      return 0
    case 'people list':
      for (const one of await people.list()) {
        const state = one.disabled_at === null ? one.kind : `${one.kind}, disabled ${one.disabled_at}`
        out([one.identity, state, `tenant ${one.tenant}`, one.roles.join(', ')].join('\t'))
      }
      return 0
    case 'keys revoke': {
      const id = command.keyId.replace(/^hp_/, '')
      return told(
        await people.revoke(id, BY),
        `The key ${id} opens nothing any more.`,
        `There is no key ${id}.`,
      )
    }
    case 'people disable': {
      const { identity } = command
      return told(
        await people.disable(identity, BY),
        `${identity} is let in no more.`,
        `There is no ${identity}.`,
      )
    }
    case 'people roles': {
      const { identity, roles } = command
      const done = await people.setRoles(identity, roles, BY)
      return told(done, `${identity} is now ${roles.join(', ')}.`, `There is no ${identity}.`)
    }
  }
  function told(done: boolean, yes: string, no: string): number {
    say(done ? yes : no)
    return done ? 0 : 1
  }
}
