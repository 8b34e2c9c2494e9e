-- Secondary indexes. The outbox has exactly the three that the platform has: none of them serves the purge by published_at.
CREATE INDEX ix_outbox_pending ON core.event_outbox (created_at) WHERE status = 'PENDING';
CREATE INDEX ix_outbox_failed ON core.event_outbox (created_at) WHERE status = 'FAILED';
CREATE INDEX ix_outbox_tenant ON core.event_outbox (tenant_id, created_at);

CREATE INDEX ix_cases_tenant_status ON core.cases (tenant_id, status);
CREATE INDEX ix_proc_inst_case ON core.bpm_proc_inst (case_id);
CREATE INDEX ix_work_item_proc_inst ON core.bpm_work_item (proc_inst_id);
CREATE INDEX ix_work_item_assignee ON core.bpm_work_item (assignee_id) WHERE status <> 'done';
CREATE INDEX ix_watch_alerts_tenant ON core.watch_alerts (tenant_id, fired_at);
CREATE INDEX ix_documents_case ON core.documents (case_id);
CREATE INDEX ix_llm_call_logs_created ON core.llm_call_logs (created_at);
CREATE INDEX ix_scenario_parameters_scenario ON vision.scenario_parameters (scenario_id);
CREATE INDEX ix_scenario_results_scenario ON vision.scenario_results (scenario_id);
CREATE INDEX ix_causal_edges_graph ON vision.causal_edges (graph_id);
