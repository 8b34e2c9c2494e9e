-- Foreign keys, made after the rows: one join each instead of a look-up per row.
ALTER TABLE core.users
  ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants,
  ADD FOREIGN KEY (manager_id) REFERENCES core.users;
ALTER TABLE core.proc_def
  ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants,
  ADD FOREIGN KEY (created_by) REFERENCES core.users;
ALTER TABLE core.cases
  ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants,
  ADD FOREIGN KEY (owner_id) REFERENCES core.users;
ALTER TABLE core.bpm_proc_inst
  ADD FOREIGN KEY (case_id) REFERENCES core.cases,
  ADD FOREIGN KEY (proc_def_id) REFERENCES core.proc_def;
ALTER TABLE core.bpm_work_item
  ADD FOREIGN KEY (proc_inst_id) REFERENCES core.bpm_proc_inst,
  ADD FOREIGN KEY (assignee_id) REFERENCES core.users;
ALTER TABLE core.watch_rules
  ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants,
  ADD FOREIGN KEY (created_by) REFERENCES core.users;
ALTER TABLE core.watch_alerts
  ADD FOREIGN KEY (rule_id) REFERENCES core.watch_rules,
  ADD FOREIGN KEY (case_id) REFERENCES core.cases,
  ADD FOREIGN KEY (acknowledged_by) REFERENCES core.users;
ALTER TABLE core.documents
  ADD FOREIGN KEY (case_id) REFERENCES core.cases,
  ADD FOREIGN KEY (uploaded_by) REFERENCES core.users;
ALTER TABLE core.llm_call_logs
  ADD FOREIGN KEY (user_id) REFERENCES core.users;
ALTER TABLE vision.what_if_scenarios
  ADD FOREIGN KEY (case_id) REFERENCES core.cases,
  ADD FOREIGN KEY (created_by) REFERENCES core.users;
ALTER TABLE vision.scenario_parameters ADD FOREIGN KEY (scenario_id) REFERENCES vision.what_if_scenarios ON DELETE CASCADE;
ALTER TABLE vision.scenario_results ADD FOREIGN KEY (scenario_id) REFERENCES vision.what_if_scenarios ON DELETE CASCADE;
ALTER TABLE vision.causal_graphs ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants;
ALTER TABLE vision.causal_edges ADD FOREIGN KEY (graph_id) REFERENCES vision.causal_graphs ON DELETE CASCADE;
ALTER TABLE vision.cube_definitions
  ADD FOREIGN KEY (tenant_id) REFERENCES core.tenants,
  ADD FOREIGN KEY (created_by) REFERENCES core.users;
