import { RuntimeError } from '../runtime/errors.ts'
import { type Json, toJson } from '../runtime/json.ts'
import type { RunConfig, RunPlace } from '../runtime/run.ts'
import { clean } from '../runtime/run-config.ts'
import type { StartRequest } from '../runtime/start-run.ts'
import type { Caller } from './auth.ts'
import type { Ask } from './endpoint.ts'
import { Text } from './schemas/fields.ts'
import type { RunCreate } from './schemas/runs.ts'

/** What a client asks for, with the protocol's defaults and ours. */
export function startOf(
  threadId: string,
  body: RunCreate,
  ask: Pick<Ask, 'headers' | 'allowed'> & { caller: Pick<Caller, 'user' | 'person'> },
): StartRequest {
  const { configurable, tags, recursion_limit } = body.config ?? {}
  const modes = body.stream_mode ?? 'values'
  const command = commandOf(body)
  return {
    threadId,
    assistantId: body.assistant_id,
    request: {
      input: command === null ? (body.input ?? null) : null,
      command,
      config: {
        configurable: clean(configurable ?? {}),
        ...(tags == null ? {} : { tags }),
        ...(recursion_limit == null ? {} : { recursion_limit }),
      } satisfies RunConfig,
      context: body.context ?? {},
      checkpoint: checkpointOf(body),
      interrupt_before: body.interrupt_before ?? null,
      interrupt_after: body.interrupt_after ?? null,
      stream_mode: [...new Set(Array.isArray(modes) ? modes : [modes])],
      stream_subgraphs: body.stream_subgraphs ?? false,
      stream_resumable: body.stream_resumable ?? false,
      // The protocol's default is `async`. Ours is the one that loses nothing when a worker dies.
      durability: body.durability ?? during(body.checkpoint_during),
      on_disconnect: body.on_disconnect ?? 'continue',
      caller: { ...clean<Json>(ask.headers), ...asWhom(ask.caller) },
      ...(body.webhook == null ? {} : { webhook: body.webhook }),
    },
    metadata: {
      ...body.metadata,
      ...(body.feedback_keys == null ? {} : { feedback_keys: body.feedback_keys }),
    },
    multitaskStrategy: body.multitask_strategy ?? 'enqueue',
    afterSeconds: body.after_seconds ?? 0,
    createThread: body.if_not_exists === 'create',
    allowed: ask.allowed,
    by: ask.caller.person,
  }
}

function during(checkpoint: boolean | null | undefined) {
  if (checkpoint == null) return 'sync'
  return checkpoint ? 'async' : 'exit'
}

function commandOf({ command, input }: RunCreate): StartRequest['request']['command'] {
  if (command == null) return null
  const { resume, update, goto } = command
  const given = {
    ...(resume === undefined ? {} : { resume }),
    ...(update == null ? {} : { update }),
    ...(goto == null ? {} : { goto }),
  }
  if (Object.keys(given).length === 0) return null
  if (input != null && !isEmpty(input))
    throw new RuntimeError('invalid_input', 'A run takes an input or a command, not both.')
  return given
}

/** Agent Chat UI sends `{}` beside its commands. */
function isEmpty(input: Json): boolean {
  return typeof input === 'object' && input !== null && Object.keys(input).length === 0
}

function checkpointOf({ checkpoint, checkpoint_id, config }: RunCreate): RunPlace | null {
  const fromConfig = Text(200).safeParse(config?.configurable?.['checkpoint_id']).data
  const id = checkpoint?.checkpoint_id ?? checkpoint_id ?? fromConfig
  if (id == null) return null
  const { checkpoint_ns: ns, checkpoint_map: map } = checkpoint ?? {}
  if (ns == null || ns === '') return { checkpoint_id: id }
  return { checkpoint_id: id, checkpoint_ns: ns, ...(map == null ? {} : { checkpoint_map: map }) }
}

/** By the official names. */
function asWhom({ user }: Pick<Caller, 'user'>): Record<string, Json> {
  if (user === undefined) return {}
  return {
    langgraph_auth_user: toJson(user),
    langgraph_auth_user_id: user.identity,
    langgraph_auth_permissions: user.permissions,
  }
}
