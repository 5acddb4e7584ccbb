-- Whose wish a run carries out: they do not release what it asks for. More than one where somebody goes on with what
-- somebody else began.
alter table runs add column requested_by text[] not null default '{}';
-- The checkpoint that a run without input of its own goes on from: its namespace, null where the run has input, and its
-- id, null for the newest. The request itself is not to be read here: its text may be what PostgreSQL cannot decode.
alter table runs add column goes_on_ns text;
alter table runs add column goes_on_id text;

alter table holds add column requested_by text[] not null default '{}';
update holds set requested_by = array[requester] where requester is not null;
-- Null where it is not known, or not one alone: no rule allows by it then.
alter table holds drop column requester;
alter table holds add column requester text
  generated always as (case when cardinality(requested_by) = 1 then requested_by[1] end) stored;
