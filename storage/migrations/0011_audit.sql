-- The record: what was asked, decided and done, append-only, one chain for each thread and one for administration.
-- `entry` is the text that is sealed, as it is: nothing of it stands a second time in a column that could differ.
create table audit_entries (
  chain text not null,
  seq bigint not null,
  entry json not null,
  -- HMAC-SHA-256 of `entry`, which names its chain, its number and the MAC of the one before.
  mac text not null,
  primary key (chain, seq)
);

create index audit_entries_by_time on audit_entries (((entry ->> 'at')) collate "C", chain, seq);

-- The newest entry of each chain, signed: whoever appends locks its row, and nobody else's.
create table audit_heads (
  chain text primary key,
  seq bigint not null,
  mac text not null,
  signature text not null,
  updated_at timestamptz not null default clock_timestamp()
);

create index audit_heads_by_change on audit_heads (updated_at);

-- Tells a process whose secret is another one. It is no secret, and opens nothing.
create table secret_check (
  one boolean primary key default true check (one),
  value text not null
);
