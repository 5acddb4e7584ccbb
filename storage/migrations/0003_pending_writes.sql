-- Which run wrote it. A run that answers a pause writes to the checkpoint of the run that paused; where it is rolled
-- back, its answer has to go with it, or the next answer would never be read.
alter table checkpoint_writes add column run_id uuid;
