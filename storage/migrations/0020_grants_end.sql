-- A grant that nobody has used by then is asked for again. Null: committed before grants had an end.
alter table grants add column expires_at timestamptz;
-- Of the tool that began it. '': not noted.
alter table effects add column tool_version text not null default '';
