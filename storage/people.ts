import type { AuditKind } from '../runtime/audit.ts'
import { RuntimeError } from '../runtime/errors.ts'
import type { Json } from '../runtime/json.ts'
import {
  DEFAULT_TENANT,
  type KeyEntry,
  type NewKey,
  type People,
  type Principal,
  rolesOf,
  type StoredKey,
} from '../runtime/people.ts'
import { topics } from '../runtime/topics.ts'
import { type Database, prepared, type Transaction } from './database.ts'
import { person } from './record-of-holds.ts'
import { notify } from './signals.ts'

const HAVE_KEYS = 'select exists (select 1 from api_keys) as found'

// Whoever knows an id alone leaves no trace of use.
const KEY = prepared(`
  with used as (
    update api_keys set last_used = current_date
    where key_id = $1 and secret_sha256 = $2 and last_used is distinct from current_date
  )
  select k.secret_sha256, k.expires_at, p.identity, p.kind, p.tenant_id, p.roles,
    case
      when p.disabled_at is not null then 'disabled'
      when k.revoked_at is not null then 'revoked'
      when k.expires_at <= clock_timestamp() then 'expired'
    end as refused
  from api_keys k join principals p using (identity) where k.key_id = $1`)

const ADD_PRINCIPAL = `
  insert into principals (identity, kind, tenant_id, roles) values ($1, $2, $3, $4)
  on conflict (identity) do nothing returning 1`

const COLUMNS = 'identity, kind, tenant_id, roles, created_at, disabled_at'

const FIND = `select ${COLUMNS} from principals where identity = $1`

const LOCK_PRINCIPAL = `${FIND} for update`

const ADD_KEY = `
  insert into api_keys (key_id, identity, secret_sha256, expires_at)
  values ($1, $2, $3, now() + make_interval(secs => $4)) returning expires_at`

const KEYS = `
  select key_id, identity, created_at, expires_at, revoked_at, last_used::text from api_keys
  order by created_at, key_id`

const REVOKE =
  'update api_keys set revoked_at = now() where key_id = $1 and revoked_at is null returning identity'
const IS_KEY = 'select 1 from api_keys where key_id = $1'

const LIST = `select ${COLUMNS} from principals order by tenant_id, identity`

const DISABLE = `
  update principals set disabled_at = now() where identity = $1 and disabled_at is null returning tenant_id`

const SET_ROLES = 'update principals set roles = $2 where identity = $1'

interface PrincipalRow extends Record<string, unknown> {
  identity: string
  kind: Principal['kind']
  tenant_id: string
  roles: string[]
  created_at: Date
  disabled_at: Date | null
}

interface KeyRow extends Pick<PrincipalRow, 'identity' | 'kind' | 'tenant_id' | 'roles'> {
  secret_sha256: string
  expires_at: Date | null
  refused: StoredKey['refused']
  [column: string]: unknown
}

export function createPeople(db: Database): People {
  return {
    async haveKeys() {
      const { rows } = await db.query<{ found: boolean }>(HAVE_KEYS)
      return rows[0]?.found === true
    },
    async key(keyId, secretSha256) {
      const { rows } = await db.query<KeyRow>(KEY, [keyId, secretSha256])
      return rows[0] && toKey(rows[0], keyId)
    },
    createKey: (key, by) =>
      db.transaction(async (client) => {
        const principal = await principalOf(client, key)
        const { rows } = await client.query<{ expires_at: Date | null }>(ADD_KEY, [
          key.key_id,
          key.identity,
          key.secret_sha256,
          key.expiresInSeconds ?? null,
        ])
        const expires = rows[0]?.expires_at?.toISOString() ?? null
        const { tenant, roles, kind } = principal
        record(client, 'key.created', by, {
          key_id: key.key_id,
          person: key.identity,
          kind,
          tenant,
          roles,
          expires,
        })
        await notify(client, topics.keys)
        return principal
      }),
    async keys() {
      const { rows } = await db.query<Dated<KeyEntry>>(KEYS)
      return rows.map((row) => ({
        ...row,
        created_at: row.created_at.toISOString(),
        expires_at: row.expires_at?.toISOString() ?? null,
        revoked_at: row.revoked_at?.toISOString() ?? null,
      }))
    },
    revoke: (keyId, by) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<{ identity: string }>(REVOKE, [keyId])
        const [revoked] = rows
        if (revoked === undefined) return (await client.query(IS_KEY, [keyId])).rows.length > 0
        const { tenant } = toPrincipal(await locked(client, revoked.identity))
        record(client, 'key.revoked', by, { key_id: keyId, person: revoked.identity, tenant })
        await notify(client, topics.keys)
        return true
      }),
    async find(identity) {
      const { rows } = await db.query<PrincipalRow>(FIND, [identity])
      return rows[0] && toPrincipal(rows[0])
    },
    async list() {
      const { rows } = await db.query<PrincipalRow>(LIST)
      return rows.map(toPrincipal)
    },
    disable: (identity, by) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<{ tenant_id: string }>(DISABLE, [identity])
        if (rows[0] === undefined) return (await client.query(LOCK_PRINCIPAL, [identity])).rows.length > 0
        record(client, 'person.disabled', by, { person: identity, tenant: rows[0].tenant_id })
        await notify(client, topics.keys)
        return true
      }),
    setRoles: (identity, roles, by) =>
      db.transaction(async (client) => {
        const { rows } = await client.query<PrincipalRow>(LOCK_PRINCIPAL, [identity])
        if (rows[0] === undefined) return false
        const { tenant, kind, roles: before } = toPrincipal(rows[0])
        checkRoles({ kind, roles })
        await client.query(SET_ROLES, [identity, roles])
        record(client, 'person.roles', by, { person: identity, tenant, before, roles })
        await notify(client, topics.keys)
        return true
      }),
  }
}

type Dated<T> = {
  [Key in keyof T]: Key extends 'created_at'
    ? Date
    : Key extends 'expires_at' | 'revoked_at'
      ? Date | null
      : T[Key]
}

/** Whoever the key is for: new with the given roles, or as they are. A key changes nobody. */
async function principalOf(client: Transaction, key: NewKey): Promise<Principal> {
  const { identity, kind, roles, tenant } = key
  checkRoles(key)
  const added =
    roles.length > 0 &&
    (await client.query(ADD_PRINCIPAL, [identity, kind, tenant ?? DEFAULT_TENANT, roles])).rows.length > 0
  const found = (await client.query<PrincipalRow>(LOCK_PRINCIPAL, [identity])).rows[0]
  if (found === undefined)
    throw new RuntimeError('invalid_input', `There is no ${identity} yet. Say with --role what they may do.`)
  const principal = toPrincipal(found)
  if (added) return principal
  const { tenant: theirs, roles: have } = principal
  if (principal.disabled_at !== null)
    throw new RuntimeError('invalid_input', `${identity} is disabled. Make a key for another name.`)
  if (kind !== principal.kind)
    throw new RuntimeError('invalid_input', `${identity} is a ${principal.kind}. Use --${principal.kind}.`)
  if (tenant !== undefined && tenant !== theirs)
    throw new RuntimeError('invalid_input', `${identity} belongs to tenant ${theirs}. Choose another name.`)
  if (roles.length > 0 && rolesOf(roles).join(' ') !== have.join(' '))
    throw new RuntimeError(
      'invalid_input',
      `${identity} has the roles ${have.join(', ')}. Leave --role out, or first: holdpoint people roles ${identity} ${roles.join(' ')}`,
    )
  return principal
}

function checkRoles({ kind, roles }: Pick<NewKey, 'kind' | 'roles'>): void {
  if (kind === 'person' || roles.every((role) => role === 'viewer' || role === 'operator')) return
  throw new RuntimeError('invalid_input', 'An agent decides nothing: it is a viewer or an operator.')
}

async function locked(client: Transaction, identity: string): Promise<PrincipalRow> {
  const { rows } = await client.query<PrincipalRow>(LOCK_PRINCIPAL, [identity])
  if (rows[0] === undefined) throw new Error(`Principal ${identity} is gone, and its keys are not.`)
  return rows[0]
}

function record(
  client: Transaction,
  kind: Extract<AuditKind, `key.${string}` | `person.${string}`>,
  by: string,
  data: Record<string, Json>,
): void {
  client.recorded.push({ kind, ...person(by), data })
}

function toPrincipal(row: PrincipalRow): Principal {
  return {
    identity: row.identity,
    kind: row.kind,
    tenant: row.tenant_id,
    roles: rolesOf(row.roles),
    created_at: row.created_at.toISOString(),
    disabled_at: row.disabled_at?.toISOString() ?? null,
  }
}

function toKey(
  { secret_sha256, refused, expires_at, identity, kind, tenant_id, roles }: KeyRow,
  keyId: string,
): StoredKey {
  return {
    secret_sha256,
    refused,
    expires_at: expires_at?.toISOString() ?? null,
    person: { identity, kind, tenant: tenant_id, roles: rolesOf(roles), alone: false, keyId },
  }
}
