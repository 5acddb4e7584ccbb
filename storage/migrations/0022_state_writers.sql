-- Who has changed the thread's state by hand since a run of it has ended well: what runs next is their wish, too. The
-- checkpoints themselves say who made them, for runs that go on from an older one.
alter table threads add column written_by text[] not null default '{}';
