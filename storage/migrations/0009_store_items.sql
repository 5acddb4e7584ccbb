-- What graphs and clients remember beyond threads: JSON values by namespace and key.
create table store_items (
  -- The labels, joined by dots, which no label contains. "C": all that is below a namespace lies side by side.
  namespace text collate "C" not null,
  key text collate "C" not null,
  value jsonb not null,
  -- The words of the value, or of the fields that its writer named; null where it is not to be found by text.
  -- Not a generated column: each write says what is indexed, and a text of too many words would refuse its item.
  words tsvector,
  ttl_minutes double precision,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (namespace, key)
);

create index store_items_words on store_items using gin (words);
create index store_items_expiry on store_items (expires_at) where expires_at is not null;
