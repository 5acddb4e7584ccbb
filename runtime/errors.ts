/** Everything that can go wrong below the door. `server/errors.ts` maps each code to an HTTP status. */
export type ErrorCode =
  | 'assistant_not_found'
  | 'assistant_exists'
  | 'assistant_is_system'
  | 'graph_not_found'
  | 'graph_failed_to_load'
  | 'thread_not_found'
  | 'thread_exists'
  | 'thread_busy'
  | 'thread_held'
  | 'thread_has_no_graph'
  | 'run_not_found'
  | 'run_exists'
  | 'cron_not_found'
  | 'hold_not_found'
  | 'hold_decided'
  | 'hold_not_yours'
  | 'hold_changed'
  | 'self_approval'
  | 'already_voted'
  | 'vote_not_found'
  | 'quorum_open'
  | 'link_gone'
  | 'unsigned'
  | 'invalid_decision'
  | 'invalid_resume'
  | 'invalid_input'
  | 'invalid_update'
  | 'invalid_path'
  | 'file_not_found'
  | 'quota_exceeded'
  | 'state_too_large'
  | 'artifact_not_found'
  | 'checkpoint_not_found'
  | 'overloaded'
  | 'rate_limited'
  | 'not_supported'

export class RuntimeError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RuntimeError'
    this.code = code
  }
}
