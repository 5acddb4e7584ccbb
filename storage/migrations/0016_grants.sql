-- What people's words release: one call of one version of a tool with one set of arguments, once. Rows stay when their
-- thread is deleted, but for those that nobody has used.
create table grants (
  grant_id uuid primary key default gen_random_uuid(),
  thread_id uuid not null,
  approval_id uuid not null,
  message_id text not null,
  call_id text not null,
  -- SHA-256 of thread, message, call, tool, version and arguments (runtime/call.ts).
  grant_hash text not null,
  tool text not null,
  tool_version text not null,
  policy_version text not null,
  created_at timestamptz not null default now(),
  consumed_at timestamptz,
  -- The lease that used it.
  consumed_by text,
  check ((consumed_at is null) = (consumed_by is null))
);

-- A call has one grant that it can use.
create unique index grants_open on grants (thread_id, message_id, call_id) where consumed_at is null;

-- What was asked for before says no version: where it is released, it is asked for once more.
alter table holds add column tool_version text not null default '';
-- What the tool said that the call would do; else why there is nothing to see.
alter table holds add column preview json;
alter table holds add column preview_hash text;
alter table holds add column no_preview text;
-- The approval that this one was asked for in the place of.
alter table holds add column replaces uuid;

-- A call without an effect that had a grant is there, too: its outcome is what a second execution gets.
alter table effects drop constraint effects_effect_check;
alter table effects add constraint effects_effect_check check (effect in ('none', 'idempotent', 'once'));
