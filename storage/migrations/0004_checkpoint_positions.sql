-- The order in which checkpoints were written. Their ids sort by the clock of the process that made them, and the
-- clocks of two machines differ: a thread's newest checkpoint is the last that was stored.
alter table checkpoints add column position bigint generated always as identity;

create index checkpoints_newest on checkpoints (thread_id, checkpoint_ns, position desc);
