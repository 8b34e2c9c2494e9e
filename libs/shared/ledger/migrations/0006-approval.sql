-- serves: 0.1.0 to *
-- Runs that another person approves, and people with login roles of their own: they read everything and ask for things under their own name, and write nothing else.

-- { digest, planRun }, and once approved { by, at, reason }; null: the plan is not there yet, or nobody needs to approve.
alter table runs add column approval jsonb;
create index runs_awaiting on runs (id) where state = 'awaiting_approval';

-- The login role that wrote the command. Services own the ledger and may write for others; what a person writes bears that person's own name.
alter table commands add column role text not null default session_user;
alter table commands alter column actor set default session_user;
alter table commands enable row level security;
create policy read_all on commands for select using (true);
create policy ask_in_own_name on commands for insert with check (actor = session_user and role = session_user and answer is null and answered_at is null);
create policy withdraw_own on commands for delete using (role = session_user and answered_at is null);

-- Gives the group of this ledger's people its rights, and makes the group where this role may. Returns its name, or null when there is none: then an
-- administrator says `create role <database>_people`, and the owner of the ledger `select dbops.grant_people()`.
create function grant_people() returns text language plpgsql set search_path = dbops, pg_temp as $$
declare
  people text := left(current_database(), 56) || '_people';
begin
  if not exists (select from pg_roles where rolname = people) then
    begin
      execute format('create role %I nologin', people);
    exception
      when insufficient_privilege then return null;
      when duplicate_object or unique_violation then null; -- by another at this moment
    end;
  end if;
  execute format('grant usage on schema dbops to %I', people);
  execute format('grant select on all tables in schema dbops to %I', people);
  execute format('alter default privileges in schema dbops grant select on tables to %I', people);
  execute format('grant insert (id, key, verb, body, actor) on commands to %I', people);
  execute format('grant delete on commands to %I', people);
  return people;
end $$;
revoke execute on function grant_people() from public;

-- A role that exists is given to people; where it cannot be made, the ledger works without.
do $$
begin
  perform dbops.grant_people();
end $$;
