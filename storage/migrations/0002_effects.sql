-- The effect ledger: one row for each call of a tool that changes something outside its thread. Rows stay when
-- their thread is deleted.
create table effects (
  thread_id uuid not null,
  message_id text not null,
  call_id text not null,
  args_hash text not null,
  tenant_id text not null default 'default',
  run_id uuid not null,
  tool text not null,
  effect text not null check (effect in ('idempotent', 'once')),
  -- What the tool hands to whatever performs the effect.
  key uuid not null,
  -- intended: begun and, where its owner is gone, in doubt. retry: a person said that it did not happen.
  status text not null check (status in ('intended', 'done', 'failed', 'retry', 'skipped')),
  -- The lease that intended it. Another one finds it in doubt.
  lease_token bigint not null,
  outcome json,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  primary key (thread_id, message_id, call_id, args_hash)
);

alter table holds drop constraint holds_kind_check;
alter table holds add constraint holds_kind_check check (kind in ('tool', 'in_doubt'));

-- Takeovers of the run in a row that found no new checkpoint, and the newest checkpoint that the last one found.
alter table runs add column stalls integer not null default 0;
alter table runs add column progress text;

-- How many answers each interrupt that this run answers had already, where it had any (runtime/run-config.ts).
alter table runs add column answered json;
