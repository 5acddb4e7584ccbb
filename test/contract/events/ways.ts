import { afterAll, beforeAll, describe, inject } from 'vitest'
import { createLiveHub } from '../../../runtime/live-events.ts'
import type { Log } from '../../../runtime/ports.ts'
import { openStorage, type Storage } from '../../../storage/open.ts'
import { openRedisEvents } from '../../../storage/redis-events.ts'
import { type EachDatabase, onEmbedded, onPostgres, type Place } from '../../support/each-database.ts'

/** One process that writes a run's events and one that reads them, and what is between. */
export interface Way {
  /** Whether the events themselves come past the table, and not only word of them. */
  live: boolean
  readonly writer: Storage
  readonly reader: Storage
}

interface Pair {
  writer: Storage
  reader: Storage
}

/** Runs the same suite over every way that an event can take from a worker to a reader. */
export function onEachWay(suite: (way: Way) => void): void {
  onEmbedded((database) => {
    describe('in one process', () => suite(useWay(true, () => sameProcess(database))))
  })
  onPostgres((database) => {
    describe('in one process', () => suite(useWay(true, () => sameProcess(database))))
    describe('between processes, by NOTIFY alone', () =>
      suite(useWay(false, () => twoProcesses(database.place))))
    describe.skipIf(inject('services').redis === null)('between processes, with Redis', () => {
      suite(useWay(true, () => twoProcesses(database.place, sharedRedis())))
    })
    describe.skipIf(inject('services').redis === null)('between processes, by Redis alone', () => {
      suite(useWay(true, () => deafened(database.place, sharedRedis())))
    })
  })
}

export const SILENT: Log = { info() {}, warn() {}, error() {} }

export function openAt(place: Place, redis?: { url: string; log: Log }): Promise<Storage> {
  return openStorage({ databaseUrl: undefined, poolSize: 5, connectTimeoutMs: 3_000, ...place, redis })
}

export async function twoProcesses(place: Place, redis?: { url: string; log: Log }): Promise<Pair> {
  return { writer: await openAt(place, redis), reader: await openAt(place, redis) }
}

async function sameProcess(database: EachDatabase): Promise<Pair> {
  const storage = await openAt(database.place)
  return { writer: storage, reader: storage }
}

/** Two processes whose readers hear no NOTIFY: what Redis does not bring, they find when they poll. */
async function deafened(place: Place, redis: { url: string; log: Log }): Promise<Pair> {
  const [writer, reader] = [await deaf(place, redis), await deaf(place, redis)]
  return { writer, reader }
}

async function deaf(place: Place, redis: { url: string; log: Log }): Promise<Storage> {
  const storage = await openAt(place)
  const database = place.databaseUrl ?? ''
  const live = await openRedisEvents({ ...redis, database, hub: createLiveHub() })
  const close = () => {
    live.close()
    return storage.close()
  }
  return { ...storage, live, close }
}

function sharedRedis() {
  const { redis } = inject('services')
  if (redis === null) throw new Error("No Redis here: skip on inject('services').redis === null.")
  return { url: redis, log: SILENT }
}

function useWay(live: boolean, open: () => Promise<Pair>): Way {
  let pair: Pair | undefined
  beforeAll(async () => {
    pair = await open()
  })
  afterAll(async () => {
    await pair?.writer.close()
    if (pair !== undefined && pair.reader !== pair.writer) await pair.reader.close()
  })
  const get = () => {
    if (pair === undefined) throw new Error('The way is open from beforeAll on.')
    return pair
  }
  return {
    live,
    get writer() {
      return get().writer
    },
    get reader() {
      return get().reader
    },
  }
}
