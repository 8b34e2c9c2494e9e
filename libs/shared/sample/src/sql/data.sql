-- The rows. The same ones each time; only their times are counted back from now, so that every retention finds something past it.
-- Row n of every table belongs to tenant n % 8: the sizes are multiples of 8, and a reference never leaves its tenant.
SELECT setseed(0.15);

-- Marked immutable so that the planner works it out once a statement; the setting does not change while this file runs.
CREATE FUNCTION pg_temp.size_of(name text) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT greatest(1, round(current_setting('sample.rows')::integer * share / 100 / 8))::integer * 8
  FROM (VALUES
    ('users', 0.5), ('cases', 6.0), ('bpm_proc_inst', 8.0), ('bpm_work_item', 22.0), ('watch_rules', 0.1), ('watch_alerts', 8.0),
    -- Of these 37, churn.sql leaves 34.
    ('event_outbox', 37.0), ('event_dead_letter', 1.0), ('documents', 5.0), ('llm_call_logs', 10.0),
    ('what_if_scenarios', 0.4), ('scenario_parameters', 1.6), ('scenario_results', 2.4), ('causal_edges', 0.5), ('etl_sync_history', 1.0)
  ) AS sizes (of, share)
  WHERE of = name
$$;
CREATE FUNCTION pg_temp.key(kind text, n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5(kind || n)::uuid $$;
CREATE FUNCTION pg_temp.tenant(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT pg_temp.key('tenant', n % 8) $$;
-- A random row of the table, of the tenant of row n.
CREATE FUNCTION pg_temp.peer(kind text, n integer, size integer) RETURNS uuid LANGUAGE sql VOLATILE AS
  $$ SELECT pg_temp.key(kind, n % 8 + 8 * floor(random() * (size / 8))::integer) $$;
CREATE FUNCTION pg_temp.one_of(words text[]) RETURNS text LANGUAGE sql VOLATILE AS
  $$ SELECT words[1 + floor(random() * array_length(words, 1))::integer] $$;
CREATE FUNCTION pg_temp.ago(days double precision) RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT now() - days * interval '1 day' $$;

INSERT INTO core.tenants (id, name, plan, is_active, settings, created_at)
SELECT pg_temp.tenant(n), 'Tenant ' || n, pg_temp.one_of('{trial,standard,enterprise}'), true, '{"locale": "ko"}', pg_temp.ago(900 - n * 20)
FROM generate_series(0, 7) n;

INSERT INTO core.users (id, tenant_id, email, display_name, role, stakeholder_type, manager_id, created_at, last_login_at)
SELECT pg_temp.key('user', n), pg_temp.tenant(n), format('user%s@tenant%s.example', n, n % 8), 'User ' || n,
  CASE WHEN n < 8 THEN 'admin' ELSE pg_temp.one_of('{manager,analyst,viewer}') END,
  pg_temp.one_of('{creditor,debtor,trustee,investor,regulator}'),
  CASE WHEN n >= 8 THEN pg_temp.key('user', n % 8) END, pg_temp.ago(700 * random()), pg_temp.ago(30 * random())
FROM generate_series(0, pg_temp.size_of('users') - 1) n;

INSERT INTO core.proc_def (id, tenant_id, name, version, status, definition, created_by, created_at)
SELECT pg_temp.key('proc_def', n), pg_temp.tenant(n), 'process-' || n / 24, 1 + n / 8 % 3,
  CASE n / 8 % 3 WHEN 2 THEN 'active' ELSE 'retired' END,
  jsonb_build_object('activities', jsonb_build_array('receive', 'review', 'approve', 'archive'), 'sla_hours', 24 * (1 + n % 5)),
  pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.ago(600 - n)
FROM generate_series(0, 191) n;

INSERT INTO core.cases (id, tenant_id, case_type, org, title, status, priority, amount, owner_id, opened_at, closed_at)
SELECT pg_temp.key('case', n), pg_temp.tenant(n), pg_temp.one_of('{restructuring,audit,claim,compliance,acquisition}'),
  'Org ' || floor(random() * 12), 'Case ' || n, CASE WHEN closed THEN 'closed' ELSE pg_temp.one_of('{open,in_progress}') END,
  1 + floor(random() * 5), round((random() * 1e6)::numeric, 2), pg_temp.peer('user', n, pg_temp.size_of('users')),
  pg_temp.ago(age), CASE WHEN closed THEN pg_temp.ago(age * 0.4) END
FROM (SELECT n, 365 * random() AS age, random() < 0.6 AS closed FROM generate_series(0, pg_temp.size_of('cases') - 1) n) drawn;

INSERT INTO core.bpm_proc_inst (id, tenant_id, case_id, proc_def_id, status, variables, started_at, ended_at)
SELECT pg_temp.key('proc_inst', n), pg_temp.tenant(n), pg_temp.peer('case', n, pg_temp.size_of('cases')), pg_temp.peer('proc_def', n, 192),
  CASE WHEN ended THEN 'completed' ELSE pg_temp.one_of('{running,running,suspended,failed}') END,
  jsonb_build_object('step', n % 7, 'channel', 'web'), pg_temp.ago(age), CASE WHEN ended THEN pg_temp.ago(age * 0.7) END
FROM (SELECT n, 365 * random() AS age, random() < 0.7 AS ended FROM generate_series(0, pg_temp.size_of('bpm_proc_inst') - 1) n) drawn;

INSERT INTO core.bpm_work_item (tenant_id, proc_inst_id, activity, assignee_id, status, result, created_at, due_at, completed_at)
SELECT pg_temp.tenant(n), pg_temp.peer('proc_inst', n, pg_temp.size_of('bpm_proc_inst')), pg_temp.one_of('{receive,review,approve,archive}'),
  pg_temp.peer('user', n, pg_temp.size_of('users')), CASE WHEN done THEN 'done' ELSE pg_temp.one_of('{todo,in_progress}') END,
  CASE WHEN done THEN '{"outcome": "ok"}'::jsonb END, pg_temp.ago(age), pg_temp.ago(age - 3), CASE WHEN done THEN pg_temp.ago(age * 0.9) END
FROM (SELECT n, 365 * random() AS age, random() < 0.8 AS done FROM generate_series(0, pg_temp.size_of('bpm_work_item') - 1) n) drawn;

INSERT INTO core.watch_rules (id, tenant_id, name, condition, severity, created_by, created_at)
SELECT pg_temp.key('watch_rule', n), pg_temp.tenant(n), 'rule-' || n, jsonb_build_object('metric', 'overdue_items', 'above', 5 + n % 20),
  pg_temp.one_of('{info,warning,critical}'), pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.ago(400 * random())
FROM generate_series(0, pg_temp.size_of('watch_rules') - 1) n;

INSERT INTO core.watch_alerts (tenant_id, rule_id, case_id, severity, status, message, fired_at, acknowledged_at, acknowledged_by)
SELECT pg_temp.tenant(n), pg_temp.peer('watch_rule', n, pg_temp.size_of('watch_rules')), pg_temp.peer('case', n, pg_temp.size_of('cases')),
  pg_temp.one_of('{info,warning,critical}'), CASE WHEN seen THEN 'acknowledged' ELSE 'open' END, 'threshold exceeded',
  pg_temp.ago(age), CASE WHEN seen THEN pg_temp.ago(age - 0.1) END,
  CASE WHEN seen THEN pg_temp.peer('user', n, pg_temp.size_of('users')) END
FROM (SELECT n, 0.1 + 180 * random() AS age, random() < 0.9 AS seen FROM generate_series(0, pg_temp.size_of('watch_alerts') - 1) n) drawn;

-- Two weeks of events, oldest first, as an outbox grows: the newest 15 % still wait, the rest is published but for some FAILED and given up.
INSERT INTO core.event_outbox (id, event_type, aggregate_type, aggregate_id, payload, status, tenant_id, created_at, published_at, retry_count, last_error)
SELECT pg_temp.key('event', n), event_type, 'case', case_id, jsonb_build_object('case_id', case_id, 'event', event_type, 'sequence', n),
  status, pg_temp.tenant(n), pg_temp.ago(age), CASE status WHEN 'PUBLISHED' THEN pg_temp.ago(age) + interval '200 ms' END,
  CASE status WHEN 'FAILED' THEN 3 WHEN 'DEAD_LETTER' THEN 10 ELSE 0 END,
  CASE WHEN status IN ('FAILED', 'DEAD_LETTER') THEN 'connection to redis timed out' END
FROM (
  SELECT n, pg_temp.peer('case', n, pg_temp.size_of('cases')) AS case_id,
    -- What still waits tells no news: everybody would hear at once of thousands of data sets.
    pg_temp.one_of(CASE WHEN status = 'PENDING' THEN '{case_opened,case_closed,work_item_completed,watch_alert_fired}'
      ELSE '{case_opened,case_closed,work_item_completed,watch_alert_fired,data_registered}' END::text[]) AS event_type,
    CASE WHEN status = 'FAILED' THEN 45 * random() ELSE 14 * (1 - n::float8 / pg_temp.size_of('event_outbox')) END AS age, status
  FROM (
    SELECT n, CASE WHEN n >= pg_temp.size_of('event_outbox') * 0.85 THEN 'PENDING'
      WHEN n % 100 < 3 THEN 'FAILED' WHEN n % 200 = 3 THEN 'DEAD_LETTER' ELSE 'PUBLISHED' END AS status
    FROM generate_series(0, pg_temp.size_of('event_outbox') - 1) n
  ) placed
) drawn;

INSERT INTO core.event_dead_letter (id, source_stream, event_type, payload, tenant_id, error, retry_count, failed_at)
SELECT pg_temp.key('dead_letter', n), pg_temp.one_of('{axiom:events,axiom:watches,axiom:workers}'), 'data_registered',
  jsonb_build_object('sequence', n), pg_temp.tenant(n), 'handler raised ValueError', 5, pg_temp.ago(90 * random())
FROM generate_series(0, pg_temp.size_of('event_dead_letter') - 1) n;

INSERT INTO core.documents (id, tenant_id, case_id, title, mime_type, storage_key, size_bytes, sha256, uploaded_by, created_at)
SELECT pg_temp.key('document', n), pg_temp.tenant(n), pg_temp.peer('case', n, pg_temp.size_of('cases')), 'Document ' || n,
  pg_temp.one_of('{application/pdf,text/csv,image/png}'), 'documents/' || n, floor(random() * 5e6), md5('a' || n) || md5('b' || n),
  pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.ago(365 * random())
FROM generate_series(0, pg_temp.size_of('documents') - 1) n;

INSERT INTO core.llm_call_logs (tenant_id, user_id, service, model, prompt_tokens, completion_tokens, cost_usd, latency_ms, created_at)
SELECT pg_temp.tenant(n), pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.one_of('{oracle,synapse,vision,weaver}'),
  pg_temp.one_of('{large,small,embedding}'), 100 + floor(random() * 4000), floor(random() * 800), round((random() / 10)::numeric, 6),
  150 + floor(random() * 9000), pg_temp.ago(60 * random())
FROM generate_series(0, pg_temp.size_of('llm_call_logs') - 1) n;

INSERT INTO vision.what_if_scenarios (id, tenant_id, case_id, name, status, created_by, created_at, computed_at)
SELECT pg_temp.key('scenario', n), pg_temp.tenant(n), pg_temp.peer('case', n, pg_temp.size_of('cases')), 'Scenario ' || n,
  CASE WHEN n % 10 = 0 THEN 'draft' ELSE 'completed' END, pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.ago(age),
  CASE WHEN n % 10 <> 0 THEN pg_temp.ago(age) + interval '40 s' END
FROM (SELECT n, 1 + 300 * random() AS age FROM generate_series(0, pg_temp.size_of('what_if_scenarios') - 1) n) drawn;

INSERT INTO vision.scenario_parameters (scenario_id, name, base_value, assumed_value)
SELECT pg_temp.peer('scenario', n, pg_temp.size_of('what_if_scenarios')), pg_temp.one_of('{interest_rate,growth,cost,recovery}'),
  round((random() * 100)::numeric, 3), round((random() * 100)::numeric, 3)
FROM generate_series(0, pg_temp.size_of('scenario_parameters') - 1) n;

INSERT INTO vision.scenario_results (scenario_id, metric, period, value)
SELECT pg_temp.peer('scenario', n, pg_temp.size_of('what_if_scenarios')), pg_temp.one_of('{npv,cash_flow,recovery_rate}'),
  current_date + n % 36 * 30, round((random() * 1e6)::numeric, 2)
FROM generate_series(0, pg_temp.size_of('scenario_results') - 1) n;

INSERT INTO vision.causal_graphs (id, tenant_id, name, method, computed_at)
SELECT pg_temp.key('causal_graph', n), pg_temp.tenant(n), 'graph-' || n, pg_temp.one_of('{granger,pcmci,var}'), pg_temp.ago(100 * random())
FROM generate_series(0, 39) n;

INSERT INTO vision.causal_edges (graph_id, cause, effect, strength, lag_days)
SELECT pg_temp.peer('causal_graph', n, 40), 'kpi_' || n % 17, 'kpi_' || n % 23 + 20, random() * 2 - 1, floor(random() * 30)
FROM generate_series(0, pg_temp.size_of('causal_edges') - 1) n;

INSERT INTO vision.cube_definitions (id, tenant_id, name, definition, created_by, created_at)
SELECT pg_temp.key('cube', n), pg_temp.tenant(n), 'cube-' || n,
  '{"fact": "mv_business_fact", "dimensions": ["dim_time", "dim_org", "dim_case_type"], "measures": ["cases", "amount"]}',
  pg_temp.peer('user', n, pg_temp.size_of('users')), pg_temp.ago(300 * random())
FROM generate_series(0, 39) n;

INSERT INTO vision.etl_sync_history (source, status, rows_read, rows_written, error, started_at, finished_at)
SELECT pg_temp.one_of('{core.cases,core.bpm_work_item,core.users}'), CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'completed' END,
  n % 5000, CASE WHEN n % 50 = 0 THEN 0 ELSE n % 5000 END, CASE WHEN n % 50 = 0 THEN 'statement timeout' END,
  pg_temp.ago(age), pg_temp.ago(age) + interval '20 s'
FROM (SELECT n, 1 + 120 * random() AS age FROM generate_series(0, pg_temp.size_of('etl_sync_history') - 1) n) drawn;
