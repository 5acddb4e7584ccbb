-- What the states of a thread are made of, each part once: elements of lists and large values, and pages, which are lists
-- of them. `hash` is over the rest; `refs` are other chunks of the thread.
create table checkpoint_chunks (
  thread_id uuid not null,
  hash uuid not null,
  body text,
  bytes bytea,
  refs uuid[],
  primary key (thread_id, hash)
);

-- A checkpoint without `state` was written before: its values are in checkpoint_blobs.
alter table checkpoints add column state text, add column refs uuid[];
-- What a task wrote, as one row; without `packed` each value is a row.
alter table checkpoint_writes add column packed text, add column refs uuid[];

-- Of an index that grows at its end pages are full, of one that grows at its front they are half full.
drop index checkpoints_newest;
create index checkpoints_newest on checkpoints (thread_id, checkpoint_ns, position);

-- Threads that lost checkpoints, and may have chunks that nothing needs any more.
create table checkpoint_garbage (
  thread_id text primary key
);

-- Whoever deletes checkpoints need not know of their chunks.
create function note_checkpoint_garbage() returns trigger language plpgsql as $$
begin
  insert into checkpoint_garbage (thread_id)
  select distinct thread_id from gone where refs is not null
  order by thread_id
  on conflict do nothing;
  return null;
end
$$;

create trigger checkpoints_gone after delete on checkpoints
referencing old table as gone for each statement execute function note_checkpoint_garbage();

create trigger checkpoint_writes_gone after delete on checkpoint_writes
referencing old table as gone for each statement execute function note_checkpoint_garbage();
