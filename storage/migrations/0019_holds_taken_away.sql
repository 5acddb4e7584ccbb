-- The run whose coming took the approval's pause away. Where it ends, or is dropped, before it has done anything to the
-- pause, the approval waits again.
alter table holds add column cancelled_by uuid;
