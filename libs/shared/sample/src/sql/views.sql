-- Vision's star: dimensions, then the fact that joins them. Keys are row numbers, so a new member shifts the keys after it, and a fact
-- refreshed before its dimensions points at the wrong ones. Every view has the unique index that REFRESH … CONCURRENTLY asks for.
CREATE MATERIALIZED VIEW vision.dim_case_type AS
SELECT row_number() OVER (ORDER BY case_type) AS case_type_key, case_type
FROM (SELECT DISTINCT case_type FROM core.cases) types;
CREATE UNIQUE INDEX dim_case_type_key ON vision.dim_case_type (case_type_key);

CREATE MATERIALIZED VIEW vision.dim_org AS
SELECT row_number() OVER (ORDER BY tenant_id, org) AS org_key, tenant_id, org
FROM (SELECT DISTINCT tenant_id, org FROM core.cases) orgs;
CREATE UNIQUE INDEX dim_org_key ON vision.dim_org (org_key);

CREATE MATERIALIZED VIEW vision.dim_time AS
SELECT row_number() OVER (ORDER BY day) AS time_key, day, extract(year FROM day)::integer AS year,
  extract(quarter FROM day)::integer AS quarter, extract(month FROM day)::integer AS month
FROM (SELECT DISTINCT (opened_at AT TIME ZONE 'Asia/Seoul')::date AS day FROM core.cases) days;
CREATE UNIQUE INDEX dim_time_key ON vision.dim_time (time_key);

CREATE MATERIALIZED VIEW vision.dim_stk_type AS
SELECT row_number() OVER (ORDER BY stakeholder_type) AS stk_type_key, stakeholder_type
FROM (SELECT DISTINCT stakeholder_type FROM core.users) types;
CREATE UNIQUE INDEX dim_stk_type_key ON vision.dim_stk_type (stk_type_key);

CREATE MATERIALIZED VIEW vision.mv_business_fact AS
SELECT time_key, org_key, case_type_key, stk_type_key, count(*) AS cases, count(closed_at) AS closed, sum(amount) AS amount
FROM core.cases
JOIN core.users owner ON owner.id = owner_id
JOIN vision.dim_time ON day = (opened_at AT TIME ZONE 'Asia/Seoul')::date
JOIN vision.dim_org ON dim_org.tenant_id = cases.tenant_id AND dim_org.org = cases.org
JOIN vision.dim_case_type ON dim_case_type.case_type = cases.case_type
JOIN vision.dim_stk_type ON dim_stk_type.stakeholder_type = owner.stakeholder_type
GROUP BY time_key, org_key, case_type_key, stk_type_key;
CREATE UNIQUE INDEX mv_business_fact_key ON vision.mv_business_fact (time_key, org_key, case_type_key, stk_type_key);
