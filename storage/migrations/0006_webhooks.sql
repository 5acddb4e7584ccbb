alter table runs add column started_at timestamptz;

-- What clients asked to be told, written in the transaction that it tells of, and delivered at least once.
create table webhooks (
  webhook_id uuid primary key default gen_random_uuid(),
  thread_id uuid not null,
  run_id uuid not null,
  url text not null,
  payload json not null,
  tries integer not null default 0,
  -- When the next try is due; null once it was delivered or given up.
  due_at timestamptz default now(),
  delivered_at timestamptz,
  error text,
  created_at timestamptz not null default now()
);

create index webhooks_due on webhooks (due_at) where due_at is not null;
