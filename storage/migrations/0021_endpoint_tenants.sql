-- Whose approvals and runs the endpoint is told of; null: everybody's.
alter table webhook_endpoints add column tenant_id text;
