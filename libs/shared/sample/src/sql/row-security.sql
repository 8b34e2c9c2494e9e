-- One tenant at a time, on the tables where the platform has it: enabled, forced nowhere, and current_setting without missing_ok, so that
-- a session that has never named its tenant gets an error, not an empty answer.
DO $$
DECLARE
  guarded text;
BEGIN
  FOREACH guarded IN ARRAY ARRAY[
    'users', 'cases', 'proc_def', 'bpm_proc_inst', 'bpm_work_item', 'watch_rules', 'watch_alerts', 'event_outbox'
  ] LOOP
    EXECUTE format('ALTER TABLE core.%I ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('CREATE POLICY tenant_isolation ON core.%I USING (tenant_id::uuid = current_setting(''app.current_tenant_id'')::uuid)', guarded);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA core, vision TO core_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA core, vision TO core_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA core, vision TO core_app;
