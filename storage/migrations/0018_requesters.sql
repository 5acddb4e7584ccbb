-- Whose wish a run carries out: they do not release what it asks for. More than one where somebody goes on with what
-- somebody else began.
alter table runs add column requested_by text[] not null default '{}';
update runs set requested_by = array[request ->> 'requester'] where request ->> 'requester' is not null;

alter table holds add column requested_by text[] not null default '{}';
update holds set requested_by = array[requester] where requester is not null;
-- Null where it is not known, or not one alone: no rule allows by it then.
alter table holds drop column requester;
alter table holds add column requester text
  generated always as (case when cardinality(requested_by) = 1 then requested_by[1] end) stored;
