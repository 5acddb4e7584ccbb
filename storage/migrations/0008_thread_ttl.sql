-- How long a thread stays after its last change, and what is left of it then.
alter table threads
  add column ttl_minutes double precision,
  add column ttl_strategy text check (ttl_strategy in ('delete', 'keep_latest')),
  add constraint threads_ttl_whole check ((ttl_minutes is null) = (ttl_strategy is null));

create index threads_with_ttl on threads (updated_at) where ttl_minutes is not null;
