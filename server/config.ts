import { z } from 'zod'
import { DEFAULT_LIMITS, LOWEST_LIMIT, type StateLimits } from '../runtime/state-limits.ts'

const LOOPBACK = new Set(['127.0.0.1', '::1', 'localhost'])

const flag = z
  .enum(['0', '1'])
  .default('0')
  .transform((value) => value === '1')
const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  )
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max)
const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\//, 'must begin with postgres:// or postgresql://')
  .optional()
const hostsWithPorts = list.pipe(
  z.array(z.string().regex(/^[^/@\s]+:\d{1,5}$/, 'must be hosts with ports such as localhost:3000')),
)
const tables = list.pipe(
  z.array(z.string().regex(/^[^.\s"]+(\.[^.\s"]+)?$/, 'must be names such as orders or sales.orders')),
)

const Environment = z.object({
  PORT: integer(0, 65_535).default(2024),
  HOST: z.string().default('127.0.0.1'),
  DATABASE_URL: postgresUrl,
  REDIS_URL: z
    .string()
    .regex(/^rediss?:\/\//, 'must begin with redis:// or rediss://')
    .refine((url) => URL.canParse(url), 'must be a URL such as redis://127.0.0.1:6379')
    .optional(),
  HOLDPOINT_SECRET: z
    .string()
    .min(32, 'must have 32 characters or more. To make one: openssl rand -hex 32')
    .optional(),
  HOLDPOINT_DATA_DIR: z.string().default('.holdpoint'),
  HOLDPOINT_CONFIG: z.string().optional(),
  HOLDPOINT_POLICY: z.string().optional(),
  HOLDPOINT_WORKERS: integer(0, 256).default(16),
  HOLDPOINT_LEASE_MS: integer(500, 600_000).default(5_000),
  HOLDPOINT_CORS_ORIGINS: list.pipe(
    z.array(z.url({ protocol: /^https?$/, message: 'must be origins such as http://localhost:3000' })),
  ),
  HOLDPOINT_INSECURE_LISTEN: flag,
  HOLDPOINT_STUDIO_AUTH: flag,
  HOLDPOINT_HTTP_HOSTS: list,
  HOLDPOINT_HTTP_PRIVATE_HOSTS: hostsWithPorts,
  HOLDPOINT_SQL_URL: postgresUrl,
  HOLDPOINT_SQL_TABLES: tables,
  HOLDPOINT_SQL_WRITE_URL: postgresUrl,
  HOLDPOINT_SQL_WRITE_TABLES: tables,
  HOLDPOINT_SQL_FUNCTIONS: tables,
  HOLDPOINT_TOOL_SECRETS: list,
  HOLDPOINT_SANDBOX: z.enum(['auto', 'bubblewrap', 'child']).default('auto'),
  HOLDPOINT_SANDBOX_MINIMUM: z.enum(['process', 'namespace']).default('process'),
  HOLDPOINT_MODELS: list,
  OPENAI_API_KEY: z.string().optional(),
  OPENAI_BASE_URL: z.url().optional(),
  HOLDPOINT_MAX_QUEUE: integer(1, 10_000_000).default(10_000),
  HOLDPOINT_MAX_STREAMS: integer(1, 1_000_000).default(5_000),
  HOLDPOINT_WRONG_KEYS: integer(0, 1_000_000).default(30),
  HOLDPOINT_DECISIONS: integer(0, 1_000_000).default(300),
  HOLDPOINT_PROXIES: integer(0, 10).default(0),
  HOLDPOINT_EVENT_DAYS: integer(1, 36_500).default(30),
  HOLDPOINT_STATE_LIMIT: integer(LOWEST_LIMIT, 1_000_000_000).default(DEFAULT_LIMITS.bytes),
  HOLDPOINT_STATE_OVER_LIMIT: z.enum(['artifact', 'error']).default(DEFAULT_LIMITS.over),
  HOLDPOINT_WEBHOOK_HOSTS: hostsWithPorts,
  HOLDPOINT_PUBLIC_URL: z
    .url({ protocol: /^https?$/, message: 'must be a URL such as https://holdpoint.example' })
    .transform((url) => url.replace(/\/+$/, ''))
    .optional(),
  HOLDPOINT_ERRORS: z.enum(['text', 'json']).default('text'),
  HOLDPOINT_INTEROP: z.enum(['0', '1']).default('1'),
  HOLDPOINT_TEST_MODE: flag,
  HOLDPOINT_FAILPOINTS: z.string().default(''),
  SMTP_URL: z
    .string()
    .regex(/^smtps?:\/\//, 'must begin with smtp:// or smtps://')
    .optional(),
})

export interface Config {
  port: number
  host: string
  databaseUrl: string | undefined
  /** Unset: what is made beside the embedded database. */
  secret: string | undefined
  /** Carries live events between processes. */
  redisUrl: string | undefined
  dataDir: string
  /** Unset: what server/project.ts finds. */
  configFile: string | undefined
  /** Unset: the one beside the langgraph.json, where there is one. */
  policyFile: string | undefined
  workers: number
  leaseMs: number
  /** Origins, beside the server's own, whose pages may call it. */
  corsOrigins: string[]
  /** Whether strangers may reach the server although it has no authentication. */
  insecureListen: boolean
  /** Whether Studio's own header stands for an authenticated visitor. */
  studioAuth: boolean
  httpHosts: string[]
  /** `host:port` of services of the operator's own that http_fetch may reach at private addresses. */
  httpPrivateHosts: string[]
  /** What sql_query and sql_execute reach; names as the catalog has them. */
  sql: {
    url: string | undefined
    tables: string[]
    writeUrl: string | undefined
    writeTables: string[]
    functions: string[]
  }
  /** Names of the environment's variables that tools may be given. */
  toolSecrets: string[]
  /** What runs code that agents write, and the least that may stand around it. */
  sandbox: { backend: 'auto' | 'bubblewrap' | 'child'; minimum: 'process' | 'namespace' }
  /** In order of preference; empty where the rehearsal model answers. */
  models: string[]
  openaiApiKey: string | undefined
  openaiBaseUrl: string | undefined
  smtpUrl: string | undefined
  /** Waiting runs beyond which new ones are refused. */
  maxQueue: number
  /** Open streams of this process beyond which new ones are refused. */
  maxStreams: number
  /** In a minute: wrong keys and links of an address, words of a person on approvals. 0: any number. */
  limits: { wrongKeys: number; decisions: number; proxies: number }
  /** Days that a run's events are kept after its end. */
  eventDays: number
  /** How large a value may be in a state, and what becomes of a larger one. */
  stateLimits: StateLimits
  /** `host:port` of receivers of webhooks that may have a private address. */
  webhookHosts: string[]
  /** Where people reach this server, without a slash at its end. */
  publicUrl: string | undefined
  /** How errors are told: a line of text, or `{"detail": …}`. */
  errors: 'text' | 'json'
  /** Whether interrupts and answers are translated between clients (runtime/interop.ts). */
  interop: boolean
  /** On loopback alone: tests may empty tables. */
  testMode: boolean
  /** Where to fail, for tests; empty but in test mode. */
  failpoints: string
}

const DEFAULT_MODEL = 'gpt-5-mini'

/** Reads every setting at once. An empty value counts as none. Throws one line that names the setting. */
export function loadConfig(environment: Record<string, string | undefined>): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  )
  const parsed = Environment.safeParse(given)
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path[0]?.toString() ?? ''}: ${message}`,
    )
    throw new Error(`Bad setting. ${problems.join('; ')}. Correct it in the environment or in .env.`)
  }
  const env = parsed.data
  if (env.HOLDPOINT_TEST_MODE && !LOOPBACK.has(env.HOST)) {
    throw new Error('HOLDPOINT_TEST_MODE is for loopback alone. Unset it, or set HOST=127.0.0.1.')
  }
  if (env.HOLDPOINT_FAILPOINTS !== '' && !env.HOLDPOINT_TEST_MODE) {
    throw new Error('HOLDPOINT_FAILPOINTS needs HOLDPOINT_TEST_MODE=1: it makes the server fail on purpose.')
  }
  if (env.HOLDPOINT_SANDBOX === 'child' && env.HOLDPOINT_SANDBOX_MINIMUM === 'namespace') {
    throw new Error(
      'HOLDPOINT_SANDBOX=child is a process, and HOLDPOINT_SANDBOX_MINIMUM=namespace asks for more. Set HOLDPOINT_SANDBOX=bubblewrap, or another minimum.',
    )
  }
  if (env.DATABASE_URL !== undefined && env.HOLDPOINT_SECRET === undefined) {
    throw new Error(
      'DATABASE_URL needs HOLDPOINT_SECRET, the same for every process on that database. To make one: openssl rand -hex 32',
    )
  }
  const real = env.OPENAI_API_KEY !== undefined || env.OPENAI_BASE_URL !== undefined
  return {
    port: env.PORT,
    host: env.HOST,
    databaseUrl: env.DATABASE_URL,
    secret: env.HOLDPOINT_SECRET,
    redisUrl: env.REDIS_URL,
    dataDir: env.HOLDPOINT_DATA_DIR,
    configFile: env.HOLDPOINT_CONFIG,
    policyFile: env.HOLDPOINT_POLICY,
    workers: env.HOLDPOINT_WORKERS,
    leaseMs: env.HOLDPOINT_LEASE_MS,
    corsOrigins: env.HOLDPOINT_CORS_ORIGINS.map((url) => new URL(url).origin),
    insecureListen: env.HOLDPOINT_INSECURE_LISTEN,
    studioAuth: env.HOLDPOINT_STUDIO_AUTH,
    httpHosts: env.HOLDPOINT_HTTP_HOSTS,
    httpPrivateHosts: env.HOLDPOINT_HTTP_PRIVATE_HOSTS,
    sql: {
      url: env.HOLDPOINT_SQL_URL,
      tables: env.HOLDPOINT_SQL_TABLES,
      writeUrl: env.HOLDPOINT_SQL_WRITE_URL,
      writeTables: env.HOLDPOINT_SQL_WRITE_TABLES,
      functions: env.HOLDPOINT_SQL_FUNCTIONS,
    },
    toolSecrets: env.HOLDPOINT_TOOL_SECRETS,
    sandbox: { backend: env.HOLDPOINT_SANDBOX, minimum: env.HOLDPOINT_SANDBOX_MINIMUM },
    models: real ? (env.HOLDPOINT_MODELS.length > 0 ? env.HOLDPOINT_MODELS : [DEFAULT_MODEL]) : [],
    openaiApiKey: env.OPENAI_API_KEY,
    openaiBaseUrl: env.OPENAI_BASE_URL,
    smtpUrl: env.SMTP_URL,
    maxQueue: env.HOLDPOINT_MAX_QUEUE,
    maxStreams: env.HOLDPOINT_MAX_STREAMS,
    limits: {
      wrongKeys: env.HOLDPOINT_WRONG_KEYS,
      decisions: env.HOLDPOINT_DECISIONS,
      proxies: env.HOLDPOINT_PROXIES,
    },
    eventDays: env.HOLDPOINT_EVENT_DAYS,
    stateLimits: { bytes: env.HOLDPOINT_STATE_LIMIT, over: env.HOLDPOINT_STATE_OVER_LIMIT },
    webhookHosts: env.HOLDPOINT_WEBHOOK_HOSTS,
    publicUrl: env.HOLDPOINT_PUBLIC_URL,
    errors: env.HOLDPOINT_ERRORS,
    interop: env.HOLDPOINT_INTEROP === '1',
    testMode: env.HOLDPOINT_TEST_MODE,
    failpoints: env.HOLDPOINT_FAILPOINTS,
  }
}

/** Throws where others than this machine could reach a server that asks nobody who they are. */
export function checkReach({ host, insecureListen }: Config, authenticates: boolean): void {
  if (LOOPBACK.has(host) || insecureListen || authenticates) return
  throw new Error(
    `HOST=${host} would let others reach this server, which asks nobody who they are. Make a key (holdpoint keys create --person NAME --role admin), set "auth" in langgraph.json, use 127.0.0.1, or see HOLDPOINT_INSECURE_LISTEN in .env.example.`,
  )
}

/** For graphs, which read the environment as they like. What the process was given counts more. */
export function addToEnvironment(values: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(values)) process.env[name] ??= value
}
