-- Whether the thread's head stands before a step: at an interrupt, which the row lists, or at a breakpoint, which it does
-- not. What a thread is without a run follows from it; what it was when a run was claimed is of no use.
alter table threads add column paused boolean not null default false;
update threads set paused = true where status = 'interrupted' or interrupts <> '{}';
alter table runs drop column thread_status;
