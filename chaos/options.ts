import { parseArgs } from 'node:util'
import { z } from 'zod'

export interface ChaosOptions {
  runs: number
  seed: string
  leaseMs: number
  /** Server processes that share the database. */
  servers: number
  /** Threads on which something goes on at a time. */
  concurrency: number
  embedded: boolean
  /** Says each fault. */
  verbose: boolean
  /** Instead of the share that the runs determine. */
  kills?: number
  timeoutMs: number
  /** Where the report goes as JSON. */
  json?: string
  /** PostgreSQL to use where no cluster can be made. */
  databaseUrl?: string
}

export const USAGE = `npm run chaos -- [--runs 1000] [--seed 1] [--lease 5000] [--servers 3] [--concurrency 16]
  [--kills N] [--timeout SECONDS] [--json FILE] [--embedded] [--verbose]

Kills, freezes, cuts and upgrades real servers on a database of their own while runs go on, and checks that nothing
was lost or done twice. Without PostgreSQL's programs it uses DATABASE_URL or TEST_DATABASE_URL, and restarts nothing
there. --embedded does the same to one server on the embedded database.`

const integer = (least: number, otherwise: number) => z.coerce.number().int().min(least).default(otherwise)

const Arguments = z.object({
  runs: integer(1, 1_000),
  seed: z.string().default('1'),
  lease: integer(500, 5_000),
  servers: integer(1, 3),
  concurrency: integer(1, 16),
  kills: z.coerce.number().int().min(0).optional(),
  timeout: integer(10, 5_400),
  json: z.string().optional(),
  embedded: z.boolean().default(false),
  verbose: z.boolean().default(false),
})

export function readOptions(argv: string[], environment: Record<string, string | undefined>): ChaosOptions {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: argv,
    options: {
      runs: text,
      seed: text,
      lease: text,
      servers: text,
      concurrency: text,
      kills: text,
      timeout: text,
      json: text,
      embedded: { type: 'boolean' },
      verbose: { type: 'boolean' },
    },
  })
  const parsed = Arguments.safeParse(values)
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error))
  const { lease, timeout, kills, json, ...given } = parsed.data
  const databaseUrl = environment['DATABASE_URL'] ?? environment['TEST_DATABASE_URL']
  return {
    ...given,
    servers: given.embedded ? 1 : given.servers,
    leaseMs: lease,
    timeoutMs: timeout * 1_000,
    ...(kills === undefined ? {} : { kills }),
    ...(json === undefined ? {} : { json }),
    ...(databaseUrl === undefined ? {} : { databaseUrl }),
  }
}
