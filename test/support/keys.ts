import { beforeAll } from 'vitest'
import { newApiKey, secretHash, textOf } from '../../runtime/api-key.ts'
import type { NewKey, People, Role } from '../../runtime/people.ts'
import { openStorage } from '../../storage/open.ts'
import type { EachDatabase, Place } from './each-database.ts'
import { type Answer, type Stage, useStage } from './stage.ts'

export type Keyed = Partial<Omit<NewKey, 'key_id' | 'secret_sha256' | 'roles'>> & { roles: Role[] }

/** Makes a key for each of them, as the command line does. No server may be on an embedded database. */
export async function makeKeys<Name extends string>(
  place: Place,
  people: Record<Name, Keyed>,
): Promise<Record<Name, string>> {
  return await withPeople(place, async (store) => {
    const made: [string, string][] = []
    for (const [identity, given] of Object.entries(people) as [Name, Keyed][]) {
      const key = newApiKey()
      await store.createKey(
        {
          identity,
          kind: 'person',
          tenant: undefined,
          expiresInSeconds: undefined,
          ...given,
          key_id: key.id,
          secret_sha256: secretHash(key),
        },
        'the tests',
      )
      made.push([identity, textOf(key)])
    }
    return Object.fromEntries(made) as Record<Name, string>
  })
}

/** Changes people as the command line does: beside the server, where there is one. */
export async function withPeople<T>(place: Place, change: (people: People) => Promise<T>): Promise<T> {
  const storage = await openStorage({
    databaseUrl: undefined,
    ...place,
    poolSize: 1,
    connectTimeoutMs: 3_000,
  })
  try {
    return await change(storage.people)
  } finally {
    await storage.close()
  }
}

/** A stage that wants keys, and requests in the name of those who have one. */
export function useKeyedStage<Name extends string>(
  database: EachDatabase,
  people: Record<Name, Keyed>,
  env: Record<string, string> = {},
) {
  let keys: Record<Name, string> | undefined
  beforeAll(async () => {
    keys = await makeKeys(database.place, people)
  })
  const stage = useStage(database, env)
  const keyOf = (name: Name) => {
    if (keys === undefined) throw new Error('The keys are there from beforeAll on.')
    return keys[name]
  }
  return {
    stage,
    keyOf,
    as: (name: Name, method: string, path: string, body?: unknown): Promise<Answer> =>
      stage.http(method, path, body, { 'x-api-key': keyOf(name) }),
  } satisfies { stage: Stage; [more: string]: unknown }
}
