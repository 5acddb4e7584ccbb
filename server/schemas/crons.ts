import { z } from 'zod'
import { isSchedule, isTimeZone } from '../../runtime/schedule.ts'
import { Dict, Text, Uuid, limit, offset, sortOrder } from './fields.ts'
import { RunCreate } from './runs.ts'

/** What is said of each run of a cron; what would make no sense every time is left out. */
export const CronRun = RunCreate.omit({
  assistant_id: true,
  command: true,
  metadata: true,
  checkpoint_id: true,
  checkpoint: true,
  on_disconnect: true,
  if_not_exists: true,
  after_seconds: true,
})

const CronFields = CronRun.extend({
  schedule: Text(200).refine(
    isSchedule,
    'must be five fields: minute, hour, day of month, month and day of week, such as 30 9 * * 1-5',
  ),
  timezone: Text(100)
    .refine(isTimeZone, 'must be a time zone of the IANA database, such as Europe/Stockholm')
    .nullish(),
  end_time: z.iso
    .datetime({ offset: true, local: true, error: 'must be a time such as 2027-01-31T18:00:00Z' })
    .nullish(),
  enabled: z.boolean().nullish(),
  on_run_completed: z.enum(['delete', 'keep']).nullish(),
  metadata: Dict.nullish(),
})

export const CronParams = z.object({ cron_id: Uuid })

export const CronCreate = CronFields.extend({ assistant_id: z.string().min(1).max(200) }).meta({
  examples: [
    {
      assistant_id: 'react',
      schedule: '30 9 * * 1-5',
      timezone: 'Europe/Stockholm',
      input: { messages: [{ role: 'user', content: 'What is new?' }] },
    },
  ],
})

export const CronPatch = CronFields.partial({ schedule: true }).meta({
  examples: [{ schedule: '0 8 * * *', enabled: false }],
})

export type CronPatch = z.infer<typeof CronPatch>

export const CronCount = z.object({
  assistant_id: Text(200).nullish(),
  thread_id: Uuid.nullish(),
  enabled: z.boolean().nullish(),
  metadata: Dict.nullish(),
})

const CRON_FIELDS = [
  'cron_id',
  'assistant_id',
  'thread_id',
  'on_run_completed',
  'end_time',
  'schedule',
  'timezone',
  'created_at',
  'updated_at',
  'user_id',
  'payload',
  'next_run_date',
  'last_error',
  'metadata',
  'enabled',
  'now',
] as const

export const CronSearch = CronCount.extend({
  select: z.array(z.enum(CRON_FIELDS)).nullish(),
  limit: limit(1_000),
  offset,
  sort_by: z
    .enum(['cron_id', 'assistant_id', 'thread_id', 'created_at', 'updated_at', 'next_run_date'])
    .default('created_at'),
  sort_order: sortOrder,
})

export const Cron = z.object({
  cron_id: z.string(),
  assistant_id: z.string(),
  thread_id: z.string().nullable(),
  on_run_completed: z.enum(['delete', 'keep']).nullable(),
  user_id: z.string().nullable(),
  schedule: z.string(),
  timezone: z.string().nullable(),
  end_time: z.string().nullable(),
  enabled: z.boolean(),
  payload: Dict,
  metadata: Dict,
  next_run_date: z.string().nullable(),
  last_error: z.object({ due: z.string(), error: z.string(), message: z.string() }).nullable(),
  created_at: z.string(),
  updated_at: z.string(),
})
