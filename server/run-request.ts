import { RuntimeError } from '../runtime/errors.ts'
import type { Json } from '../runtime/json.ts'
import type { RunConfig } from '../runtime/run.ts'
import type { StartRequest } from '../runtime/start-run.ts'
import { type RunCreate, Text } from './schemas.ts'

/** What a client asks for, with the protocol's defaults and ours. */
export function startOf(threadId: string, body: RunCreate): StartRequest {
  const { configurable, tags, recursion_limit } = body.config ?? {}
  const modes = body.stream_mode ?? 'values'
  return {
    threadId,
    assistantId: body.assistant_id,
    request: {
      input: body.input ?? null,
      command: commandOf(body),
      config: {
        configurable: clientConfigurable(configurable ?? {}),
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
      durability: body.durability ?? 'sync',
      on_disconnect: body.on_disconnect ?? 'continue',
      ...(body.webhook == null ? {} : { webhook: body.webhook }),
    },
    metadata: body.metadata ?? {},
    multitaskStrategy: body.multitask_strategy ?? 'enqueue',
    afterSeconds: body.after_seconds ?? 0,
    createThread: body.if_not_exists === 'create',
  }
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
  if (input != null) throw new RuntimeError('invalid_input', 'A run takes an input or a command, not both.')
  return given
}

function checkpointOf({
  checkpoint,
  checkpoint_id,
  config,
}: RunCreate): { checkpoint_id: string; checkpoint_ns?: string } | null {
  const fromConfig = Text(200).safeParse(config?.configurable?.['checkpoint_id']).data
  const id = checkpoint?.checkpoint_id ?? checkpoint_id ?? fromConfig
  if (id == null) return null
  const ns = checkpoint?.checkpoint_ns
  return { checkpoint_id: id, ...(ns == null || ns === '' ? {} : { checkpoint_ns: ns }) }
}

const OURS = new Set([
  'thread_id',
  'run_id',
  'assistant_id',
  'graph_id',
  'checkpoint_id',
  'checkpoint_ns',
  'checkpoint_map',
])

/** A client's configuration without what says where and as whom the run runs, and without LangGraph's internals. */
function clientConfigurable(configurable: Record<string, Json>): Record<string, Json> {
  return Object.fromEntries(
    Object.entries(configurable).filter(([key]) => !OURS.has(key) && !key.startsWith('__')),
  )
}
