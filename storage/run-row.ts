import type { Run, RunRequest, RunStatus } from '../runtime/run.ts'

export const RUN_COLUMNS = `runs.thread_id, runs.run_id, runs.assistant_id, runs.status, runs.metadata, runs.request,
  runs.multitask_strategy, runs.error, runs.attempt, runs.created_at, runs.updated_at`

export interface RunRow {
  thread_id: string
  run_id: string
  assistant_id: string
  status: RunStatus
  metadata: Run['metadata']
  /** `requester`: of runs from before the column `requested_by`. */
  request: RunRequest & { requester?: string }
  multitask_strategy: Run['multitask_strategy']
  error: Run['error']
  attempt: number
  created_at: Date
  updated_at: Date
  total?: unknown
}

/** As clients see it: who asked for it is not told. */
export function toRun(row: RunRow): Run {
  const { caller: _, requester: __, ...kwargs } = row.request
  return {
    run_id: row.run_id,
    thread_id: row.thread_id,
    assistant_id: row.assistant_id,
    status: row.status,
    metadata: row.metadata,
    kwargs,
    multitask_strategy: row.multitask_strategy,
    error: row.error,
    attempt: row.attempt,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}
