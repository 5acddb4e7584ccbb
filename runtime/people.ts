/**
 * `viewer` reads. `operator` starts runs and changes threads, assistants, crons and the store. `approver` decides what is
 * held; `senior` does, and counts where a senior is asked for. `admin` may do all, but is no senior.
 */
export const ROLES = ['viewer', 'operator', 'approver', 'senior', 'admin'] as const
export type Role = (typeof ROLES)[number]

export const DEFAULT_TENANT = 'default'
/** Of assistants that every graph has: nobody's, and for all to use. */
export const EVERY_TENANT = '*'

/** Who asks, starts and decides. */
export interface Person {
  identity: string
  /** An agent decides nothing. */
  kind: 'person' | 'agent'
  roles: readonly Role[]
  tenant: string
  /** The one principal of a server without keys and without authentication. */
  alone: boolean
  /** The key that they came with, if it was one of ours. */
  keyId?: string
}

/** There is nobody else who could decide what this one asked for, which every hold says. */
export const LOCAL: Person = {
  identity: 'local',
  kind: 'person',
  roles: ['viewer', 'operator', 'approver', 'admin'],
  tenant: DEFAULT_TENANT,
  alone: true,
}

/** Every role reads, a senior is an approver, and an admin may do what all others may. */
export function hasRole({ roles }: Pick<Person, 'roles'>, role: Role): boolean {
  if (roles.includes(role)) return true
  if (role === 'senior') return false
  if (roles.includes('admin')) return true
  return (role === 'viewer' && roles.length > 0) || (role === 'approver' && roles.includes('senior'))
}

export function isRole(name: string): name is Role {
  return (ROLES as readonly string[]).includes(name)
}

/** As the keys' table has it. Dates are ISO 8601. */
export interface Principal {
  identity: string
  kind: Person['kind']
  tenant: string
  roles: Role[]
  created_at: string
  disabled_at: string | null
}

/** As whoever has said something is now. */
export interface Author extends Pick<Principal, 'identity' | 'roles' | 'disabled_at'> {
  /** Of their keys. */
  revoked: string[]
}

export interface KeyEntry {
  key_id: string
  identity: string
  created_at: string
  expires_at: string | null
  revoked_at: string | null
  /** A day. */
  last_used: string | null
}

/** What a request's key is compared with. */
export interface StoredKey {
  secret_sha256: string
  /** Why it opens nothing. */
  refused: 'revoked' | 'expired' | 'disabled' | null
  /** ISO 8601. */
  expires_at: string | null
  person: Person
}

export interface NewKey {
  key_id: string
  secret_sha256: string
  identity: string
  kind: Person['kind']
  /** Of somebody who is new; else what they have must be the same. */
  roles: Role[]
  /** Unset: theirs, or the default one. */
  tenant: string | undefined
  expiresInSeconds: number | undefined
}

/** Principals and their keys. Every change is told to every server on the database, and recorded. */
export interface People {
  /** Whether a key was ever made. It stays so when the last one is revoked. */
  haveKeys(): Promise<boolean>
  /** Notes the day of use where the hash is the key's. */
  key(keyId: string, secretSha256: string): Promise<StoredKey | undefined>
  createKey(key: NewKey, by: string): Promise<Principal>
  keys(): Promise<KeyEntry[]>
  /** False where there is no such key. One that is revoked stays so. */
  revoke(keyId: string, by: string): Promise<boolean>
  find(identity: string): Promise<Principal | undefined>
  list(): Promise<Principal[]>
  /** False where there is nobody of that name. */
  disable(identity: string, by: string): Promise<boolean>
  setRoles(identity: string, roles: Role[], by: string): Promise<boolean>
}

/** Those of them that are roles, in their order. */
export function rolesOf(names: readonly unknown[]): Role[] {
  return ROLES.filter((role) => names.includes(role))
}
