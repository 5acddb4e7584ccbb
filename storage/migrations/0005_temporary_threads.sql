-- The thread of a stateless run: nobody lists it, and it goes away after its run.
alter table threads add column temporary boolean not null default false;

create index threads_temporary on threads (updated_at) where temporary;
