-- Messages that endpoints have signed, for as long as their signatures count, each with the one link that it was for.
create table signed_messages (
  digest text primary key,
  link_id uuid not null,
  seen_at timestamptz not null default now()
);
create index signed_messages_by_age on signed_messages (seen_at);
