-- Tools whose results, which others can write into, are in a thread's context. They stay for as long as the thread does,
-- because no later message takes back what a model has read.
create table untrusted_reads (
  thread_id uuid not null,
  source text not null,
  at timestamptz not null default now(),
  primary key (thread_id, source)
);

-- Calls that were refused, so that each is recorded once.
create table refused_calls (
  thread_id uuid not null,
  message_id text not null,
  call_id text not null,
  at timestamptz not null default now(),
  primary key (thread_id, message_id, call_id)
);
