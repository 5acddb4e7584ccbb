-- Roles that whoever started a run had then, and whoever's wish a held call is when it was asked for: rules of a policy
-- may name them. Null where it is not known.
alter table runs add column requester_roles text[];
alter table holds add column requester_roles text[];
