import type { Allowed } from './allowed.ts'
import type { Json } from './json.ts'
import type { Run } from './run.ts'

/** What becomes of the thread that a run has for itself. */
export type OnRunCompleted = 'delete' | 'keep'

/** A cron as clients see it. Dates are ISO 8601. */
export interface Cron {
  cron_id: string
  assistant_id: string
  /** Null: each run has a thread of its own. */
  thread_id: string | null
  /** Null where there is a thread. */
  on_run_completed: OnRunCompleted | null
  user_id: string | null
  schedule: string
  timezone: string | null
  end_time: string | null
  enabled: boolean
  /** What each run is asked for, in the words of the protocol. */
  payload: Record<string, Json>
  /** Of each of its runs, too. */
  metadata: Record<string, Json>
  /** Null while it is disabled, and when no time is left. */
  next_run_date: string | null
  /** Why the last due time has no run; null where it has one. */
  last_error: CronError | null
  created_at: string
  updated_at: string
}

export interface CronError {
  /** When the run was due. */
  due: string
  /** A code of ours, such as `thread_busy`. */
  error: string
  message: string
}

/** With what its runs need that nobody is shown. */
export interface ScheduledCron extends Cron {
  tenant: string
  /** As whom its runs run: who created it, and with which headers. */
  caller: {
    user: Record<string, Json> | null
    headers: Record<string, string>
    /** Who has changed what they do since: it is their wish, too. */
    changed_by?: string[]
  }
  /** Of its thread, at each due time. */
  allowed: Allowed
}

export type NewCron = Omit<ScheduledCron, 'next_run_date' | 'last_error' | 'created_at' | 'updated_at'>

/** What is given is changed. `metadata` is merged, and so is `payload`, where null takes a field away. */
export type CronChange = Partial<
  Pick<
    Cron,
    'schedule' | 'timezone' | 'end_time' | 'enabled' | 'on_run_completed' | 'metadata' | 'payload'
  > & {
    /** Who changes the payload. */
    by: string
  }
>

export interface CronFilter {
  assistant_id?: string
  thread_id?: string
  enabled?: boolean
  metadata?: Record<string, Json>
  allowed?: Allowed
  limit: number
  offset: number
  sort_by: 'cron_id' | 'assistant_id' | 'thread_id' | 'created_at' | 'updated_at' | 'next_run_date'
  sort_order: 'asc' | 'desc'
}

/** What became of a due time. */
export type Fired = { cron_id: string } & ({ run: Run } | { missed: CronError })

/** A due time that nothing was decided about: it stays due. */
export class CronNotFired extends Error {
  readonly cronId: string

  constructor(cronId: string, cause: unknown) {
    super(`Cron ${cronId} is due and could not be started.`, { cause })
    this.name = 'CronNotFired'
    this.cronId = cronId
  }
}
