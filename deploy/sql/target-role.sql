-- The role of pg-maintainer in a database that is looked after. Run by a superuser, or by whoever may grant these, in that database:
--   ROLE_PASSWORD=… psql "$DATABASE_URL" -v role=dbops -v owner=shop_owner -f target-role.sql        (psql 15 or later)
--
-- pg_read_all_data   to dump; with BYPASSRLS where tables have row level security, or the dump is refused rather than filtered
-- pg_monitor         to see who holds what, statistics, settings, the state of the server
-- owner              of the tables: before PostgreSQL 17 nobody else may vacuum, analyze or refresh; it brings the right to delete for purges
-- pg_maintain        in place of it from PostgreSQL 17 on; a purge then wants DELETE on its table: GRANT SELECT, DELETE ON … TO dbops
\set ON_ERROR_STOP on
\set QUIET on
\getenv password ROLE_PASSWORD
select current_setting('is_superuser') as super \gset
\if :super
  set log_statement = 'none';
  set log_min_duration_statement = -1;
\endif
select format('create role %I login nosuperuser nocreatedb nocreaterole', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
select format('alter role %I password %L', :'role', :'password') \gexec
select format('grant pg_read_all_data, pg_monitor to %I', :'role') \gexec
select current_setting('server_version_num')::int >= 170000 as has_maintain \gset
\if :has_maintain
  select format('grant pg_maintain to %I', :'role') \gexec
\else
  select format('grant %I to %I', :'owner', :'role') \gexec
\endif
\echo the role may look after this database
