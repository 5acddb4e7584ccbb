-- The order in which checkpoints were written. Their ids sort by the clock of the process that made them, and the
-- clocks of two machines differ: a thread's newest checkpoint is the last that was stored. Of those that were there
-- before, the ids are what is known of it: where rows lie on the disk says nothing.
alter table checkpoints add column position bigint;
update checkpoints c set position = sorted.place
from (
  select thread_id, checkpoint_ns, checkpoint_id,
    row_number() over (order by checkpoint_id, checkpoint_ns, thread_id) as place
  from checkpoints
) sorted
where c.thread_id = sorted.thread_id and c.checkpoint_ns = sorted.checkpoint_ns
  and c.checkpoint_id = sorted.checkpoint_id;
alter table checkpoints alter column position set not null;
alter table checkpoints alter column position add generated always as identity;
select setval(pg_get_serial_sequence('checkpoints', 'position'), count(*) + 1, false) from checkpoints;

create index checkpoints_newest on checkpoints (thread_id, checkpoint_ns, position desc);
