-- What the tool takes, as JSON Schema: for edits on servers that do not have the tool. Null: it was asked for before.
alter table holds add column args_schema json;
