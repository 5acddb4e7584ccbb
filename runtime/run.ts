import type { Allowed } from './allowed.ts'
import type { Assistant } from './assistant.ts'
import type { Json } from './json.ts'
import type { Role } from './people.ts'

export type RunStatus = 'pending' | 'running' | 'success' | 'error' | 'timeout' | 'interrupted'
export type MultitaskStrategy = 'enqueue' | 'reject' | 'interrupt' | 'rollback'
export type Durability = 'sync' | 'async' | 'exit'
export type CancelAction = 'interrupt' | 'rollback'

export const STREAM_MODES = [
  'values',
  'updates',
  'messages',
  'messages-tuple',
  'custom',
  'tasks',
  'checkpoints',
  'debug',
  'events',
  'tools',
] as const
export type StreamMode = (typeof STREAM_MODES)[number]

export function isStreamMode(name: string): name is StreamMode {
  return (STREAM_MODES as readonly string[]).includes(name)
}

/** From which statuses a run may go to which. Storage repeats it in the `where` of each update. */
export const RUN_TRANSITIONS: Record<RunStatus, readonly RunStatus[]> = {
  pending: ['running', 'interrupted'],
  running: ['pending', 'success', 'error', 'timeout', 'interrupted'],
  success: [],
  error: [],
  timeout: [],
  interrupted: [],
}

export function isEnded(status: RunStatus): boolean {
  return RUN_TRANSITIONS[status].length === 0
}

/** The part of LangGraph's config that a client may set. */
export interface RunConfig {
  configurable?: Record<string, Json>
  tags?: string[]
  recursion_limit?: number
}

/** The checkpoint that a run begins from. In a subgraph's the map names those of the graphs around it. */
export interface RunPlace {
  checkpoint_id: string
  checkpoint_ns?: string
  checkpoint_map?: Record<string, string>
}

/** What to do, as the client said it; stored with the run, so that any worker can do it. */
export interface RunRequest {
  input: Json
  /** A resume is a map by interrupt id, never a bare value: LangGraph gives a bare one to every interrupt. */
  command: { resume?: Record<string, Json>; update?: Json; goto?: Json } | null
  config: RunConfig
  context: Record<string, Json>
  checkpoint: RunPlace | null
  interrupt_before: '*' | string[] | null
  interrupt_after: '*' | string[] | null
  stream_mode: StreamMode[]
  stream_subgraphs: boolean
  stream_resumable: boolean
  durability: Durability
  on_disconnect: 'continue' | 'cancel'
  /** Is told when the run has ended. */
  webhook?: string
  /** Unset: the legacy streams. */
  protocol?: 'v2'
  /**
   * Who asks, and what graphs may read of the request's headers: in the run's own configuration, with the client's. Kept
   * apart, because it is shown to nobody and given to no other run.
   */
  caller?: Record<string, Json>
}

export interface NewRun {
  run_id: string
  thread_id: string
  assistant_id: string
  request: RunRequest
  /** Whose wish it is. Who asked for what it goes on with is added when it is claimed. */
  requested_by: string[]
  /** Of the first of them; null where they are not known. */
  requester_roles: Role[] | null
  metadata: Record<string, Json>
  multitask_strategy: MultitaskStrategy
  /** Seconds until the run may start. */
  after_seconds: number
}

/** A run as clients see it. Dates are ISO 8601. */
export interface Run {
  run_id: string
  thread_id: string
  assistant_id: string
  status: RunStatus
  metadata: Record<string, Json>
  kwargs: Omit<RunRequest, 'caller'>
  multitask_strategy: MultitaskStrategy
  error: RunError | null
  /** Rises whenever a worker takes the run; 1 for the first. */
  attempt: number
  created_at: string
  updated_at: string
}

/** A run with the right to execute it: every write of it names the token. */
export interface ClaimedRun extends Run {
  tenant_id: string
  worker_id: string
  /** The fencing token: rises with each claim, so that an earlier holder's writes match nothing. */
  lease_token: string
  /** Set where a cancel arrived while no worker held the run. */
  cancel_action: CancelAction | null
  /** For the interrupts that the run answers: how many answers each had before it. */
  answered: Record<string, number> | null
  caller: Record<string, Json>
  /** Empty where the run is older than the question. */
  requested_by: string[]
  /** Of the one whose wish it is alone, as they are now or, of somebody without a key, were at its start; null where they are not known. */
  requester_roles: Role[] | null
  /** As it was when the run was claimed; null where it is gone. */
  assistant: Pick<Assistant, 'graph_id' | 'config' | 'context'> | null
  /** Whether the thread had checkpoints when the run was claimed. */
  continues: boolean
  /** Whether anything of the thread had ever been held when the run was claimed. */
  held: boolean
  /** Takeovers in a row that found no new checkpoint. */
  stalls: number
}

/** More takeovers than this without a new checkpoint between them, and the run ends as `worker_lost`. */
export const MAX_STALLS = 3

export interface RunError {
  /** The error's class, as the protocol's `error` event has it, or a code of ours such as `worker_lost`. */
  error: string
  message: string
}

export interface ActiveRuns {
  threadId?: string
  runIds?: string[]
  status?: 'pending' | 'running'
  /** Of their threads. */
  allowed?: Allowed
}
