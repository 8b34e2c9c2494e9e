-- serves: 0.1.0 to *
-- Commands that another service signed and put into dbops:commands: which entry of the stream it was, so that one that is delivered again is told from one that is replayed.
alter table commands add column entry text;
