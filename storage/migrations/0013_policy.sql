-- Which rule of which policy asked for the hold, what releases it, and for whom its call is made. What was held before
-- was judged by its risk alone.
alter table holds add column rule text;
alter table holds add column policy_version text not null default '';
alter table holds add column needs jsonb not null
  default '{"approvers": 1, "seniors": 0, "who": ["approver"], "expires_in": 14400, "on_expiry": "reject"}';
update holds set needs = needs || '{"approvers": 2}' where risk in ('high', 'critical');
update holds set needs = needs || '{"seniors": 1}' where risk = 'critical';

alter table holds add column graph_id text not null default '';
update holds set graph_id = assistants.graph_id from assistants where assistants.assistant_id = holds.assistant_id;
-- Null where it is not known.
alter table holds add column requester text;

-- Null: it waits for as long as it takes.
alter table holds alter column expires_at drop not null;
