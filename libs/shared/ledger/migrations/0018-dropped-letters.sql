-- serves: 0.1.0 to *
-- A dead letter that a person has looked at and will not let go out again stays, with the reason; those that wait are counted without reading the others.
alter table dead_letters add column dropped_at timestamptz, add column dropped_by text, add column dropped_reason text;
create index dead_letters_waiting on dead_letters (reader, at) where replayed_at is null and dropped_at is null;
