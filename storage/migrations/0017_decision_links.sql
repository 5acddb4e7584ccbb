-- Links by which somebody decides without a key, once. What is kept opens nothing: the token is sealed with a key that
-- is not in the database. Rows whose time is long over are deleted; a token without its row is refused.
create table decision_links (
  link_id uuid primary key,
  approval_id uuid not null,
  identity text not null references principals,
  expires_at timestamptz not null,
  used_at timestamptz
);

create index decision_links_by_expiry on decision_links (expires_at);
