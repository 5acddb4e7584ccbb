import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { addToEnvironment } from './config.ts'

/** A hundred years at most: more is for ever. */
const TtlMinutes = z.number().positive().max(52_560_000)

const names = z.array(z.string().min(1))

/** Of `http` everything is either read or refused: a door that is other than its author meant is worse than none. */
const HttpSettings = z.strictObject({
  /** `./app.ts:app`: routes of the project's own, a Hono app. */
  app: z.string().optional(),
  /** Whether these routes, too, are for authenticated callers alone. */
  enable_custom_route_auth: z.boolean().default(false),
  cors: z
    .strictObject({
      allow_origins: names.default([]),
      allow_origin_regex: z.string().optional(),
      allow_credentials: z.boolean().default(false),
      allow_methods: names.optional(),
      allow_headers: names.optional(),
      expose_headers: names.default([]),
      max_age: z.number().int().min(0).optional(),
    })
    .optional(),
  /** Which request headers graphs find in their configuration; `*` stands for any characters. */
  configurable_headers: z
    .strictObject({
      include: names.optional(),
      includes: names.optional(),
      exclude: names.optional(),
      excludes: names.optional(),
    })
    .optional(),
  disable_assistants: z.boolean().default(false),
  disable_threads: z.boolean().default(false),
  disable_runs: z.boolean().default(false),
  disable_store: z.boolean().default(false),
  disable_meta: z.boolean().default(false),
  // What these would switch off, Holdpoint does not have.
  disable_ui: z.boolean().optional(),
  disable_mcp: z.boolean().optional(),
  disable_a2a: z.boolean().optional(),
})
export type HttpSettings = z.output<typeof HttpSettings>

const LangGraphJson = z.looseObject({
  graphs: z.record(
    z.string().regex(/^[\w-]{1,100}$/, 'graph ids are letters, digits, - and _'),
    z.union([
      z.string().transform((path) => ({ path, description: undefined })),
      z.object({ path: z.string(), description: z.string().max(2_000).optional() }),
    ]),
  ),
  /** Settings of the project's own: a file of `NAME=value` lines, or an object. */
  env: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
  auth: z.looseObject({ path: z.string(), disable_studio_auth: z.boolean().default(false) }).optional(),
  http: HttpSettings.optional(),
  checkpointer: z
    .looseObject({
      ttl: z
        .looseObject({
          strategy: z.enum(['delete', 'keep_latest']).default('delete'),
          default_ttl: TtlMinutes.nullish(),
        })
        .optional(),
    })
    .optional(),
  store: z
    .looseObject({
      ttl: z
        .looseObject({
          refresh_on_read: z.boolean().default(true),
          default_ttl: TtlMinutes.nullish(),
        })
        .optional(),
    })
    .optional(),
})
export type LangGraphJson = z.output<typeof LangGraphJson>

/** Reads the file. Throws one line that says what is wrong with it. */
export async function readLangGraphJson(configFile: string): Promise<LangGraphJson> {
  let text: string
  try {
    text = await readFile(configFile, 'utf8')
  } catch (cause) {
    throw new Error(`Cannot read ${configFile}. Create it, or set HOLDPOINT_CONFIG to your langgraph.json.`, {
      cause,
    })
  }
  let config: LangGraphJson
  try {
    config = LangGraphJson.parse(JSON.parse(text))
  } catch (cause) {
    const why = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause)
    throw new Error(`${configFile} is not a langgraph.json: ${why.replaceAll('\n', ' ')}`, { cause })
  }
  if (config.store?.['index'] != null) {
    throw new Error(
      `${configFile} sets "store.index": Holdpoint has no vector search. Remove it: the store is searched by words, without an index of yours.`,
    )
  }
  return config
}

/** Gives the process what the project's `env` says, before any of its code is loaded. */
export async function applyEnv(env: LangGraphJson['env'], base: string): Promise<void> {
  if (env === undefined) return
  const given = typeof env === 'string' ? parseEnv(await readEnv(resolve(base, env))) : env
  addToEnvironment(given)
}

async function readEnv(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Error(
      `Cannot read ${file}, which langgraph.json names as "env". Create it, or remove the entry.`,
      {
        cause,
      },
    )
  }
}
