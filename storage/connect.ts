import type { Connection } from './database.ts'
import { ownSecret } from './own-secret.ts'
import { openPglite } from './pglite.ts'
import { openPostgres } from './postgres.ts'

/** Where the database is, and what its record is keyed with. */
export interface Place {
  /** Unset: the embedded database. */
  databaseUrl: string | undefined
  dataDir: string
  /** HOLDPOINT_SECRET. Unset: what is beside the embedded database; another database needs one. */
  secret?: string | undefined
  poolSize: number
  connectTimeoutMs: number
}

/** Connects, and changes nothing there. */
export function connect(place: Place): Promise<Connection> {
  return place.databaseUrl === undefined ? openPglite(place.dataDir) : openPostgres(place.databaseUrl, place)
}

/** Throws one line where another database than the embedded one has none. */
export async function secretOf({
  databaseUrl,
  dataDir,
  secret,
}: Pick<Place, 'databaseUrl' | 'dataDir' | 'secret'>): Promise<string> {
  if (secret !== undefined) return secret
  if (databaseUrl === undefined) return await ownSecret(dataDir)
  throw new Error(
    'DATABASE_URL needs HOLDPOINT_SECRET, the same for every process on that database. To make one: openssl rand -hex 32',
  )
}
