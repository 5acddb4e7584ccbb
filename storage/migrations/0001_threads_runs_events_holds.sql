create table assistants (
  assistant_id uuid primary key,
  tenant_id text not null default 'default',
  graph_id text not null,
  name text not null,
  description text,
  config jsonb not null default '{}',
  context jsonb not null default '{}',
  metadata jsonb not null default '{}',
  version integer not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create index assistants_by_graph on assistants (tenant_id, graph_id);

create table threads (
  thread_id uuid primary key,
  tenant_id text not null default 'default',
  status text not null default 'idle' check (status in ('idle', 'busy', 'interrupted', 'error')),
  metadata jsonb not null default '{}',
  config jsonb not null default '{}',
  "values" jsonb,
  interrupts jsonb not null default '{}',
  error jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  state_updated_at timestamptz not null default now()
);

create index threads_by_creation on threads (tenant_id, created_at desc);
create index threads_by_status on threads (tenant_id, status, created_at desc);
create index threads_by_metadata on threads using gin (metadata jsonb_path_ops);

-- A worker's lease. Its heartbeat is here and not on the runs, whose rows the fencing checks lock.
create table workers (
  worker_id uuid primary key,
  started_at timestamptz not null default now(),
  expires_at timestamptz not null
);

create table runs (
  thread_id uuid not null,
  run_id uuid not null,
  tenant_id text not null default 'default',
  assistant_id uuid not null,
  status text not null default 'pending'
    check (status in ('pending', 'running', 'success', 'error', 'timeout', 'interrupted')),
  -- The order of arrival within a thread.
  position bigint generated always as identity,
  -- A run that answers a hold goes before its thread's queue.
  ahead boolean not null default false,
  available_at timestamptz not null default now(),
  request json not null,
  metadata jsonb not null default '{}',
  multitask_strategy text not null
    check (multitask_strategy in ('enqueue', 'reject', 'interrupt', 'rollback')),
  cancel_action text check (cancel_action in ('interrupt', 'rollback')),
  attempt integer not null default 0,
  -- The fencing token: each claim raises it, and every write of a run names the one that it was claimed with.
  lease_token bigint not null default 0,
  worker_id uuid,
  -- The thread's status when the run was claimed: what a rollback puts back.
  thread_status text,
  error jsonb,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (thread_id, run_id)
);

create unique index runs_by_id on runs (run_id);
-- The last word on "one run at a time": whatever the code does, a second one cannot start.
create unique index runs_one_running on runs (thread_id) where status = 'running';
create index runs_pending on runs (ahead desc, position) where status = 'pending';
create index runs_pending_of_thread on runs (thread_id, ahead desc, position) where status = 'pending';
create index runs_running on runs (worker_id) where status = 'running';
create index runs_of_thread on runs (thread_id, position desc);

create table events (
  thread_id uuid not null,
  run_id uuid not null,
  seq integer not null,
  tenant_id text not null default 'default',
  event text not null,
  -- JSON text as it is sent: nothing parses it on its way.
  data text not null,
  created_at timestamptz not null default now(),
  primary key (thread_id, run_id, seq)
);

create table holds (
  thread_id uuid not null,
  approval_id uuid not null,
  tenant_id text not null default 'default',
  run_id uuid not null,
  assistant_id uuid not null,
  interrupt_id text not null,
  kind text not null check (kind in ('tool')),
  message_id text not null,
  call_id text not null,
  tool text not null,
  args json not null,
  args_hash text not null,
  risk text not null,
  reason text not null,
  status text not null default 'pending'
    check (status in ('pending', 'approved', 'edited', 'rejected', 'responded', 'expired', 'cancelled')),
  decisions json not null default '[]',
  -- The hash of what may run: of `args` once approved, of the new arguments once edited, else null.
  released_hash text,
  resumed_run_id uuid,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  decided_at timestamptz,
  primary key (thread_id, approval_id)
);

create unique index holds_by_id on holds (approval_id);
create index holds_by_creation on holds (tenant_id, created_at desc);
create index holds_pending on holds (tenant_id, created_at) where status = 'pending';
create index holds_of_interrupt on holds (thread_id, interrupt_id);
create index holds_of_call on holds (thread_id, message_id, call_id);
