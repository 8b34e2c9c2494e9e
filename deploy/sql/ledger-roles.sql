-- The roles of the ledger: its services, each with a login of its own that reads and writes rows and can change no table.
--
-- Run by the role that owns the ledger's database and may make roles, after `dbops ledger migrate` has made the tables; again after a password is to change:
--   export SCHEDULER_PASSWORD=… PG_MAINTAINER_PASSWORD=… NEO4J_MAINTAINER_PASSWORD=… REDIS_INSPECTOR_PASSWORD=… ALERT_RELAY_PASSWORD=…
--   psql "$DBOPS_LEDGER_OWNER_URL" -v prefix=dbops -f ledger-roles.sql
-- (psql 15 or later. In the environment, since a command line may be read by everybody; a superuser's statements are kept out of the server's log.)
-- Each service is then started with DBOPS_LEDGER_URL=postgres://<prefix>_<service>:<password>@host/database. A later release is migrated by the owner first: `dbops ledger migrate`.
\set ON_ERROR_STOP on
\set QUIET on
\getenv scheduler SCHEDULER_PASSWORD
\getenv pg_maintainer PG_MAINTAINER_PASSWORD
\getenv neo4j_maintainer NEO4J_MAINTAINER_PASSWORD
\getenv redis_inspector REDIS_INSPECTOR_PASSWORD
\getenv alert_relay ALERT_RELAY_PASSWORD
select current_setting('is_superuser') as super \gset
\if :super
  set log_statement = 'none';
  set log_min_duration_statement = -1;
\endif
select dbops.grant_services() as services \gset
create temp table wanted (role text, password text);
insert into wanted values
  (:'prefix' || '_scheduler', :'scheduler'),
  (:'prefix' || '_pg_maintainer', :'pg_maintainer'),
  (:'prefix' || '_neo4j_maintainer', :'neo4j_maintainer'),
  (:'prefix' || '_redis_inspector', :'redis_inspector'),
  (:'prefix' || '_alert_relay', :'alert_relay');
select format('create role %I login nosuperuser nocreatedb nocreaterole', role) from wanted where not exists (select from pg_roles where rolname = role) \gexec
select format('alter role %I password %L', role, password) from wanted \gexec
select format('grant %I to %I', :'services', role) from wanted \gexec
drop table wanted;
\echo the services of this ledger may log in
