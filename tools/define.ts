import type { ToolMessage } from '@langchain/core/messages'
import { StructuredTool, type StructuredToolInterface, type ToolRunnableConfig } from '@langchain/core/tools'
import type { z } from 'zod'
import type { Preview } from '../runtime/preview.ts'
import { currentRun } from '../runtime/run-context.ts'
import { serviceKey, type Services } from '../runtime/services.ts'
import type { Capabilities, Reach } from './capabilities.ts'
import { noteDefined } from './defined.ts'
import { onlyPermitted } from './permit.ts'

/** How much harm a wrong call can do. It decides who has to approve it (tools/policy.ts). */
export type Risk = 'low' | 'medium' | 'high' | 'critical'

/**
 * What a second execution of the same call would do. `none`: nothing outside the thread. `idempotent`: the
 * receiver recognises the idempotency key. `once`: it would happen again.
 */
export type Effect = 'none' | 'idempotent' | 'once'

/** `TIMEOUT` the tool took too long; `INVALID_ARGS` the model can do better; `DENIED` it may not; `INTERNAL` it is ours. */
export type ToolErrorCode = 'TIMEOUT' | 'INVALID_ARGS' | 'DENIED' | 'INTERNAL'

/** An error whose message may be shown to the model. Everything else that a tool throws becomes a fixed `INTERNAL` text. */
export class ToolError extends Error {
  readonly code: ToolErrorCode

  constructor(code: ToolErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ToolError'
    this.code = code
  }
}

/** What a tool knows of the call that it executes, and what it is handed for it. */
export interface ToolCallContext extends Reach {
  threadId: string
  callId: string
  /** The same for every execution of the same call: hand it to whatever performs the effect. */
  idempotencyKey: string
  /** Another one for each execution. What an earlier execution left unfinished is not this one's. */
  attempt: string
  /** Aborted at the tool's timeout and when the run is cancelled or loses its lease. */
  signal: AbortSignal
  /** One of the tool's `secrets`. The call is refused where the operator has not given it. */
  secret(name: string): string
}

/** What a preview knows of the call. Its signal is aborted after 5 seconds, and when the run is. */
export type PreviewContext = Pick<ToolCallContext, 'threadId' | 'callId' | 'signal' | keyof Reach>

/**
 * What became of an execution that nobody heard of again. `can_no_longer_happen`: it has not happened, and whoever was
 * about to do it is kept from it.
 */
export type Probe =
  | { state: 'happened'; result: unknown }
  | { state: 'can_no_longer_happen' }
  | { state: 'unknown' }

export interface Tool<Schema extends z.ZodObject = z.ZodObject> {
  /** snake_case, as the model sees it. */
  name: string
  version: string
  /** What it does and what it does not do. */
  description: string
  schema: Schema
  risk: Risk | ((args: z.output<Schema>) => Risk)
  effect: Effect | ((args: z.output<Schema>) => Effect)
  /** Nobody but us can write into its results. Unset: others can, and the policy may ask whether they have been read. */
  trusted?: boolean
  /**
   * What it needs of the outside: `call.fetch`, `call.files` and `call.query` reach that and nothing else. It bounds what
   * the tool is handed; its own code runs in the server's process and is not kept from anything.
   */
  capabilities?: Capabilities
  /** Names of the secrets that it needs (`HOLDPOINT_TOOL_SECRETS`): in its results their values are hidden. */
  secrets?: string[]
  /** What `run` returns. Anything else is an `INTERNAL` error; fields that it does not name are dropped. */
  output?: z.ZodType
  /** How often it is called once more after a fault of its own. Never where its effect is `once`. */
  retries?: number
  /** Whether it is set up here. Where it is not, models are not told of it. */
  isSetUp?(services: Services): boolean
  /** It is a question to people: whatever the policy allows, it is held. */
  asks?: boolean
  /** Milliseconds. */
  timeoutMs: number
  /** Characters of JSON that reach the model; what is over is cut with a marker. */
  outputLimit: number
  /** Returns JSON-serialisable data. Throws `ToolError` for what the model should read. */
  run(args: z.output<Schema>, call: ToolCallContext): Promise<unknown>
  /** For `once` tools. Without it, or at `unknown`, a person is asked what happened. */
  probe?(args: z.output<Schema>, call: ToolCallContext): Promise<Probe>
  /**
   * What the call would do, for whoever is asked to release it: at most 64 KiB of JSON, within 5 seconds, without any
   * effect. It is asked for again before the call runs: where it says something else then, people are asked again.
   */
  preview?(args: z.output<Schema>, call: PreviewContext): Promise<Preview>
}

export const DEFAULT_TIMEOUT_MS = 10_000
export const DEFAULT_OUTPUT_LIMIT = 32_000

type Defaults = 'version' | 'timeoutMs' | 'outputLimit'
type ToolSpec<Schema extends z.ZodObject> = Omit<Tool<Schema>, Defaults> &
  Partial<Pick<Tool<Schema>, Defaults>>

/** A call that comes the way of LangChain's own tools. */
export interface LangChainCall {
  args: unknown
  /** Unset: it is of no message. */
  callId: string | undefined
}

/** Carries such calls out. Where a run has none, they are refused. */
export const LANGCHAIN_CALLS =
  serviceKey<(tool: Tool, call: LangChainCall) => Promise<ToolMessage>>('langchain_calls')

/** A tool of ours, which LangChain's models and its `ToolNode` take for one of theirs. */
class HeldTool extends StructuredTool {
  override name: string
  override description: string
  override schema: z.ZodObject

  constructor({ name, description, schema }: Pick<Tool, 'name' | 'description' | 'schema'>) {
    super()
    this.name = name
    this.description = description
    this.schema = schema
  }

  protected override async _call(
    args: unknown,
    _manager?: unknown,
    config?: ToolRunnableConfig,
  ): Promise<ToolMessage> {
    const carryOut = currentRun()?.services.find(LANGCHAIN_CALLS)
    if (carryOut === undefined)
      throw new ToolError('DENIED', `${this.name} runs only inside a Holdpoint run. Serve the graph.`)
    return await carryOut(this as unknown as Tool, { args, callId: config?.toolCall?.id })
  }
}

/**
 * Declares a tool. Unknown argument keys are refused, whatever the schema's own setting, and so is every way to `run` but
 * the executor's: what needs an approval could run without one. LangChain takes it for a tool of its own: there, too,
 * each call passes the executor.
 */
export function defineTool<Schema extends z.ZodObject>(
  spec: ToolSpec<Schema>,
): Tool<Schema> & StructuredToolInterface {
  if (spec.effect === 'once' && (spec.retries ?? 0) > 0)
    throw new Error(
      `${spec.name}: what has its effect once is not retried. Remove "retries", or make it idempotent.`,
    )
  const schema = spec.schema.strict() as Schema
  const tool = Object.assign(new HeldTool({ ...spec, schema }), {
    version: '1',
    timeoutMs: DEFAULT_TIMEOUT_MS,
    outputLimit: DEFAULT_OUTPUT_LIMIT,
    ...spec,
    schema,
    run: onlyPermitted(spec.run, () => {
      throw new ToolError(
        'DENIED',
        `${spec.name} runs only as a call of a message that the executor carries out: anything else would be past its approval.`,
      )
    }),
  })
  noteDefined(tool as unknown as Tool)
  return tool
}
