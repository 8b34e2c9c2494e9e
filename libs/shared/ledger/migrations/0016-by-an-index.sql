-- serves: 0.1.0 to *
-- After a year these were read from end to end (bench/growth): episodes for the one that `alerts resolve` names, artifacts for the newest dump of the ledger itself.
create index episodes_by_tail on episodes (right(id::text, 8));
create index artifacts_of_database on artifacts ((manifest #>> '{server,systemIdentifier}'), (manifest #>> '{server,database}'), created_at desc) where kind = 'dump';
