-- serves: 0.1.0 to *
-- A run with a listed backup is kept, however old: each batch of runs to be summed up asks for theirs.
create index artifacts_of_run on artifacts (run);
