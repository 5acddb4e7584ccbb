create extension dblink;
create table public.orders (
  id int primary key,
  customer text not null,
  total numeric(20, 2) not null,
  placed timestamptz not null default '2026-01-01',
  paid boolean not null default false,
  notes jsonb
);
create table public.items (
  id serial primary key,
  order_id int not null references public.orders on delete cascade,
  sku text not null
);
insert into public.orders (id, customer, total, notes)
  select n, 'customer ' || n, n * 10 + 0.10, jsonb_build_object('n', n) from generate_series(1, 1000) n;
insert into public.items (order_id, sku) select 1 + n % 1000, 'sku-' || n from generate_series(0, 2999) n;

create schema hidden;
create table hidden.secrets (secret text);
insert into hidden.secrets values ('the secret of the test');
create table public.salaries (name text, cents int);
insert into public.salaries values ('ada', 1);
create table public.journal (what text);
create table public.watched (id int primary key, n int not null);
insert into public.watched values (1, 0), (2, 0);
create sequence public.numbers;

create function public.writes_journal() returns int language sql as $$ insert into journal values ('called'); select 1 $$;
create function public.lower(numeric) returns text language sql as $$ select secret from hidden.secrets $$;
create function public.vat(numeric) returns numeric language sql immutable as $$ select round($1 * 0.2, 2) $$;
create function public.tell() returns trigger language plpgsql as $$
  begin insert into journal values ('trigger'); return new; end $$;
create trigger tell after update on public.watched for each row execute function public.tell();

create table public.holdpoint_effects (
  key text primary key,
  attempt text not null,
  state text not null check (state in ('void', 'done')),
  rows int,
  at timestamptz not null default now()
);
