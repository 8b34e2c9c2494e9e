-- A day in the outbox's life: the oldest published events are purged, most of the waiting ones are published. What they were stays behind
-- as dead rows, about a fifth of the table; a change of status is in two indexes' predicates, so no update is a HOT one.
-- Counted from the newest event and not from now, so that the same rows die each time.
DELETE FROM core.event_outbox
WHERE status = 'PUBLISHED' AND created_at < (SELECT max(created_at) FROM core.event_outbox) - interval '12 days 21 hours';

UPDATE core.event_outbox SET status = 'PUBLISHED', published_at = now()
WHERE status = 'PENDING' AND created_at < (SELECT max(created_at) FROM core.event_outbox) - interval '7 hours';
