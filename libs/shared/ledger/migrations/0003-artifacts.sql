-- serves: 0.1.0 to *
-- Backups whose manifest is sealed in a store. The store is the truth; this is its catalogue.

create table artifacts (
  id         uuid primary key,
  run        uuid not null references runs (id),
  fence      bigint not null,
  environment text not null,
  engine     text not null,
  target     text not null,
  kind       text not null,
  name       text not null,
  operation  text not null,
  store      text not null,
  place      text not null,
  location   text not null,
  bytes      bigint not null,
  files      int not null,
  created_at timestamptz not null,
  manifest   jsonb not null,
  verified_at timestamptz,
  verdict    text,
  unique (store, place)
);
create index artifacts_newest on artifacts (created_at desc);
create index artifacts_by_tail on artifacts (right(id::text, 8));
create index artifacts_of_operation on artifacts (operation, target, created_at desc);
