-- serves: 0.1.0 to *
-- What waits on a target, and what waits at all, in the order of its turn: with 100,000 queued runs the dispatcher reads the first hundreds of each target.
create index runs_waiting_on on runs (coalesce(target, ''), lane, priority desc, queued_at, id) where state = 'queued' and dispatched_at is null;
create index runs_in_turn on runs (priority desc, queued_at, id) where state = 'queued' and dispatched_at is null;
