-- The platform's three roles. Roles belong to the whole server, so each carries our mark, and one of that name without it is left alone.
DO $$
DECLARE
  mark constant text := 'sample platform of dbops';
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      -- Owns every table. Row level security is enabled and not forced, so it does not bind the owner.
      ('axiom_owner', 'LOGIN NOBYPASSRLS'),
      -- What the services log in as: sees one tenant at a time.
      ('core_app', 'LOGIN NOBYPASSRLS'),
      -- What dbops logs in as. BYPASSRLS is there for the dump; a managed server may not be able to give it.
      ('dbops_maintainer', 'LOGIN BYPASSRLS')
    ) AS role (name, options)
  LOOP
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name AND shobj_description(oid, 'pg_authid') IS DISTINCT FROM mark) THEN
      RAISE EXCEPTION 'role "%" exists and is not the sample platform''s', wanted.name
        USING HINT = 'Give the sample platform a server of its own: its roles would take over those of a real one.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
      EXECUTE format('CREATE ROLE %I', wanted.name);
      EXECUTE format('COMMENT ON ROLE %I IS %L', wanted.name, mark);
    END IF;
    EXECUTE format('ALTER ROLE %I %s PASSWORD %L', wanted.name, wanted.options, current_setting('sample.password'));
  END LOOP;
END $$;

-- PostgreSQL 15 has no MAINTAIN privilege: only a member of the owner may VACUUM, anybody else gets a warning and the tag of a success.
GRANT axiom_owner, pg_read_all_data, pg_monitor TO dbops_maintainer;
