import { HTTPException } from 'hono/http-exception'
import { type ApiKey, isSameHash, readApiKey, secretHash } from '../runtime/api-key.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { People, Person, StoredKey } from '../runtime/people.ts'
import type { Signals } from '../runtime/ports.ts'
import { topics } from '../runtime/topics.ts'
import { type Authority, type Caller, callerOf, type User } from './auth.ts'

/** How long what was read of a key counts, beside the signal that something changed. */
const REMEMBER_MS = 5_000
/** More keys than these at a time are read again. */
const MAX_REMEMBERED = 10_000

const MAKE_ONE = 'To make one, on the server: holdpoint keys create --person NAME --role ROLE'

export interface KeyAuthority extends Authority {
  /** Who has that name among those with keys, as they are now. Throws `hold_not_yours` for one who is disabled. */
  named(identity: string): Promise<Caller | undefined>
  close(): Promise<void>
}

/** Something that stays open. */
interface Connection {
  key: ApiKey
  ends: number | null
  cut: () => void
}

/**
 * The project's authority, or none, behind the keys that we issue. As soon as one was ever made, nobody comes in without
 * a key, or without what the project's `authenticate` asks for. What is read of a key is remembered for seconds, and
 * forgotten by every server at once when a key is made or revoked, or what its owner may do changes.
 */
export async function withKeys(
  project: Authority,
  { people, signals }: { people: People; signals: Signals },
): Promise<KeyAuthority> {
  let remembered = new Map<string, Promise<unknown>>()
  const remember = <T>(name: string, read: () => Promise<T>): Promise<T> => {
    const known = remembered.get(name) as Promise<T> | undefined
    if (known !== undefined) return known
    if (remembered.size >= MAX_REMEMBERED) remembered = new Map()
    const mine = remembered
    const reading = read()
    mine.set(name, reading)
    reading.then(
      (value) => value === undefined && mine.delete(name),
      () => mine.delete(name),
    )
    return reading
  }
  const watch = signals.watch(topics.keys)
  const closing = new AbortController()
  const open = new Set<Connection>()
  const forget = async () => {
    while (!closing.signal.aborted) {
      const since = performance.now()
      await watch.changed({ timeoutMs: REMEMBER_MS, signal: closing.signal })
      const told = performance.now() - since < REMEMBER_MS && !closing.signal.aborted
      // What is being read now was begun before the change. Whoever comes from now on reads again.
      remembered = new Map()
      for (const { key, ends, cut } of open)
        if (ends !== null && ends <= Date.now()) cut()
        else if (told) personBy(key).catch((error: unknown) => error instanceof HTTPException && cut())
    }
    watch.close()
  }
  let wanted = await people.haveKeys()
  const wantsKey = async () => {
    wanted ||= await remember('', () => people.haveKeys())
    return wanted
  }
  const storedBy = async (key: ApiKey): Promise<StoredKey> => {
    const hash = secretHash(key)
    const stored = await remember(key.id, () => people.key(key.id, hash))
    if (stored === undefined || !isSameHash(stored.secret_sha256, hash))
      throw new WrongKey('This key is not known here')
    if (stored.refused === 'disabled') throw refused(`${stored.person.identity} is disabled`)
    if (stored.refused === 'revoked') throw refused('This key is revoked')
    if (stored.refused === 'expired' || isOver(stored)) throw refused('This key has expired')
    return stored
  }
  const personBy = async (key: ApiKey): Promise<Person> => (await storedBy(key)).person
  const forgetting = forget()
  return {
    get authenticates() {
      return project.authenticates || wanted
    },
    handlers: project.handlers,
    async caller(request) {
      const text = keyIn(request.headers)
      if (text !== undefined && (await wantsKey())) {
        const key = readApiKey(text)
        if (key === undefined) throw new WrongKey('This is no whole key')
        const { person, expires_at } = await storedBy(key)
        const ends = expires_at === null ? null : Date.parse(expires_at)
        return callerOf(userOf(person), project.handlers, {
          first: person,
          again: () => personBy(key),
          connected(cut) {
            const connection = { key, ends, cut }
            open.add(connection)
            return () => open.delete(connection)
          },
        })
      }
      if (project.authenticates || !(await wantsKey())) return await project.caller(request)
      throw refused('Send a key, as "Authorization: Bearer hp_…" or "x-api-key"')
    },
    async named(identity) {
      const found = await people.find(identity)
      if (found === undefined) return undefined
      if (found.disabled_at !== null) throw new RuntimeError('hold_not_yours', `${identity} is disabled.`)
      const { kind, roles, tenant } = found
      const person = { identity, kind, roles, tenant, alone: false }
      return callerOf(userOf(person), project.handlers, { first: person })
    },
    async close() {
      closing.abort()
      await forgetting
    },
  }
}

/** Whichever of the two headers has one of ours: clients use the other for keys of other services. */
export function keyIn(headers: Headers): string | undefined {
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(headers.get('authorization') ?? '')?.[1]
  return [headers.get('x-api-key')?.trim(), bearer].find((text) => text?.startsWith('hp_'))
}

function isOver({ expires_at: at }: StoredKey): boolean {
  return at !== null && Date.parse(at) <= Date.now()
}

function userOf({ identity, kind, roles, tenant }: Person): User {
  return {
    identity,
    display_name: identity,
    permissions: roles.map((role) => `holdpoint:${role}`),
    is_authenticated: true,
    kind,
    tenant,
  }
}

/** A guess, where whoever sends a key that is revoked has had it. */
export class WrongKey extends HTTPException {
  constructor(why: string) {
    super(401, { message: `${why}. ${MAKE_ONE}` })
  }
}

function refused(why: string): HTTPException {
  return new HTTPException(401, { message: `${why}. ${MAKE_ONE}` })
}
