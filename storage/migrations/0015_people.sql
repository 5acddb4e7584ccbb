-- Who may come in, and as what. A name belongs to one tenant, and to one person or agent however many keys it has.
create table principals (
  identity text primary key,
  kind text not null check (kind in ('person', 'agent')),
  tenant_id text not null default 'default',
  roles text[] not null,
  created_at timestamptz not null default now(),
  disabled_at timestamptz
);

-- A key is shown once. What is kept opens nothing: the SHA-256 of its secret part. Rows are never deleted, so that a
-- server that ever had a key never again lets anybody in without one.
create table api_keys (
  key_id text primary key,
  identity text not null references principals,
  secret_sha256 text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  -- By the day, so that a key in use is one write a day.
  last_used date
);

create index api_keys_of_principal on api_keys (identity);

-- Items of one tenant are not there for another.
alter table store_items add column tenant_id text collate "C" not null default 'default';
alter table store_items drop constraint store_items_pkey;
alter table store_items add primary key (tenant_id, namespace, key);

-- The words of those who are for the call, whether they are enough already or not.
alter table holds add column votes json not null default '[]';
update holds set votes = json_build_array(decisions -> -1)
where status in ('approved', 'edited') and json_array_length(decisions) > 0;

-- Arguments that somebody wants to run instead, and that others have to release.
alter table holds add column proposal json;
alter table holds add column comments json not null default '[]';
alter table holds add column escalated_at timestamptz;
