-- serves: 0.1.0 to *
-- Services with login roles of their own that do not own the ledger: they read and write its rows, and can neither change nor drop what holds them.

-- Gives the group of this ledger's services its rights, and makes the group where this role may. Returns its name, or null when there is none: then an administrator
-- says `create role <database>_services`. To be called again after a migration that adds a table needs nobody: default privileges see to it.
create function grant_services() returns text language plpgsql set search_path = dbops, pg_temp as $$
declare
  services text := left(current_database(), 54) || '_services';
begin
  if not exists (select from pg_roles where rolname = services) then
    begin
      execute format('create role %I nologin', services);
    exception
      when insufficient_privilege then return null;
      when duplicate_object or unique_violation then null; -- by another at this moment
    end;
  end if;
  execute format('grant usage on schema dbops to %I', services);
  execute format('grant select, insert, update, delete on all tables in schema dbops to %I', services);
  execute format('grant usage, select on all sequences in schema dbops to %I', services);
  execute format('revoke insert, update, delete on migrations, installation from %I', services);
  execute format('alter default privileges in schema dbops grant select, insert, update, delete on tables to %I', services);
  execute format('alter default privileges in schema dbops grant usage, select on sequences to %I', services);
  -- They write commands for others, as the owner does.
  execute format('drop policy if exists services on commands');
  execute format('create policy services on commands to %I using (true) with check (true)', services);
  return services;
end $$;
revoke execute on function grant_services() from public;
