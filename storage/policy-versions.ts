import { ADMINISTRATION } from '../runtime/audit.ts'
import type { PolicyVersions } from '../runtime/ports.ts'
import type { Database, Queryable } from './database.ts'
import { SYSTEM } from './record-of-holds.ts'

const LOCK = 'select 1 from audit_heads where chain = $1 for update'

const LAST = `
  select entry -> 'data' ->> 'version' as version from audit_entries
  where chain = $1 and entry ->> 'kind' = 'policy.changed'
  order by seq desc limit 1`

export function createPolicyVersions(db: Database): PolicyVersions {
  return {
    async note(version, initial) {
      if ((await lastOf(db)) === version) return
      await db.transaction(async (client) => {
        // Of servers that start together the first records it.
        await client.query(LOCK, [ADMINISTRATION])
        const previous = (await lastOf(client)) ?? initial
        if (previous === version) return
        client.recorded.push({ kind: 'policy.changed', ...SYSTEM, data: { version, previous } })
      })
    },
  }
}

async function lastOf(client: Queryable): Promise<string | undefined> {
  const { rows } = await client.query<{ version: string }>(LAST, [ADMINISTRATION])
  return rows[0]?.version
}
