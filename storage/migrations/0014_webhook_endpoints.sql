-- Who is told of approvals and runs, whoever started them.
create table webhook_endpoints (
  endpoint_id uuid primary key,
  url text not null,
  description text not null default '',
  -- Types of events, and tools of approvals; empty: all.
  events text[] not null default '{}',
  tools text[] not null default '{}',
  -- What the metadata of their threads must contain.
  thread_metadata jsonb not null default '{}',
  -- Sealed (runtime/webhook-secret.ts). The one before signs as well until it is over.
  secret text not null,
  previous_secret text,
  previous_until timestamptz,
  -- Null: it is enabled.
  disabled_because text,
  created_at timestamptz not null default now()
);

-- A webhook goes to an endpoint, or to the URL that a run's request had. There is no foreign key: it would make the end
-- of a run fail where its endpoint is deleted in the same moment. What is left of a deleted endpoint is given up.
alter table webhooks
  add column endpoint_id uuid,
  add column type text,
  add column begun_at timestamptz not null default now(),
  add column dead_at timestamptz,
  alter column url drop not null,
  alter column thread_id drop not null,
  alter column run_id drop not null,
  add constraint webhooks_receiver check ((endpoint_id is null) <> (url is null)),
  -- Whom a slow answer may keep waiting: the same endpoint, or the same host.
  add column target text collate "C" not null generated always as (
    coalesce(endpoint_id::text, '//' || lower(substring(url from '^\w+://(?:[^/?#]*@)?([^/?#]*)')), '/')
  ) stored;

update webhooks set begun_at = created_at, dead_at = case when due_at is null and delivered_at is null then now() end;

drop index webhooks_due;
create index webhooks_due on webhooks (target, due_at) where due_at is not null;
create index webhooks_delivered on webhooks (delivered_at) where delivered_at is not null;
create index webhooks_dead on webhooks (dead_at) where dead_at is not null;
