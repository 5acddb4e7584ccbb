-- What starts runs at set times. A cron goes with its assistant, and with its thread.
create table crons (
  cron_id uuid primary key,
  tenant_id text not null default 'default',
  assistant_id uuid not null references assistants on delete cascade,
  -- Null: each run has a thread of its own, and `on_run_completed` says what becomes of it.
  thread_id uuid references threads on delete cascade,
  on_run_completed text check (on_run_completed in ('delete', 'keep')),
  user_id text,
  schedule text not null,
  timezone text,
  end_time timestamptz,
  enabled boolean not null,
  -- What each run is asked for, as whom, and what the metadata of its thread must contain.
  payload json not null,
  caller json not null,
  allowed jsonb not null,
  metadata jsonb not null,
  -- Null while it is disabled, and when no time is left.
  next_run_date timestamptz,
  -- Why the last due time has no run.
  last_error json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint crons_disabled_rest check (enabled or next_run_date is null),
  constraint crons_thread_or_rule check ((thread_id is null) = (on_run_completed is not null))
);

create index crons_due on crons (next_run_date) where next_run_date is not null;
create index crons_by_creation on crons (tenant_id, created_at desc);
create index crons_of_thread on crons (thread_id) where thread_id is not null;
create index crons_of_assistant on crons (assistant_id);
