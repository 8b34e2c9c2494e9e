// Statements that put too much into a ledger at once: by the thousand, each like one that is there.

/** `$1` the run, `$2` how many more like it; `n` counts them in `validUntil`. */
export const manyRuns = (validUntil: string): string => `
  with born as (
    insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, spec, priority, not_before, valid_until, attempts, retry, backoff_ms, timeout_ms, recovers)
    select gen_random_uuid(), task, engine, lane, target, mode, 'queued', cause, actor, operation, spec, priority, now(), ${validUntil}, attempts, retry, backoff_ms, timeout_ms, recovers
    from runs, generate_series(1, $2::int) n where id = $1 returning id, target
  )
  insert into run_locks (target, name, run, exclusive) select target, 'target', id, false from born`

/** `$1` how many: right in every respect, and nobody's business. */
export const manyEvents = `
  insert into outbox (id, event, ce)
  select drawn.id, 'run_cancelled', (select o.ce from outbox o where ce ? 'runid' order by n limit 1)
    || jsonb_build_object('id', drawn.id, 'type', 'io.axiom.dbops.run_cancelled.v1', 'severity', 'info')
  from (select gen_random_uuid() as id from generate_series(1, $1::int)) drawn`
