// A small platform with everything that a restore check looks at, its dump in a store of the test's own, and a restore check that works on it.
import { openStore } from '@dbops/artifacts/open-store'
import type { Backup, Backups } from '@dbops/contract/task'
import dump from '../src/tasks/dump.ts'
import restoreCheck from '../src/tasks/restore-check.ts'
import { attempt, carryOut, type Ground, head, type Try } from './harness.ts'

export const platform = (app: string) => `
  CREATE SCHEMA core;
  CREATE TABLE core.tenants (id int PRIMARY KEY, name text NOT NULL);
  CREATE TABLE core.users (id serial PRIMARY KEY, tenant_id int NOT NULL REFERENCES core.tenants, email text UNIQUE, created_at timestamptz NOT NULL);
  CREATE TABLE core.cases (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant_id int NOT NULL REFERENCES core.tenants, title text);
  CREATE TABLE core.event_outbox (id serial PRIMARY KEY, payload text CHECK (payload <> ''));
  CREATE FUNCTION core.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touched BEFORE UPDATE ON core.cases FOR EACH ROW EXECUTE FUNCTION core.touch();
  INSERT INTO core.tenants SELECT n, 'tenant ' || n FROM generate_series(1, 5) n;
  INSERT INTO core.users (tenant_id, email, created_at) SELECT n % 5 + 1, n || '@x', '2026-01-01Z'::timestamptz + n * interval '1 minute' FROM generate_series(1, 300) n;
  INSERT INTO core.cases (tenant_id, title) SELECT n % 5 + 1, 'case ' || n FROM generate_series(1, 100) n;
  INSERT INTO core.event_outbox (payload) SELECT md5(n::text) FROM generate_series(1, 50) n;
  CREATE MATERIALIZED VIEW core.users_by_tenant AS SELECT tenant_id, count(*) AS users FROM core.users GROUP BY 1;
  CREATE UNIQUE INDEX ON core.users_by_tenant (tenant_id);
  CREATE MATERIALIZED VIEW core.busiest AS SELECT max(users) AS users FROM core.users_by_tenant;
  CREATE MATERIALIZED VIEW core.outbox_size AS SELECT count(*) FROM core.event_outbox;
  CREATE EXTENSION pgcrypto;
  ALTER TABLE core.cases ENABLE ROW LEVEL SECURITY;
  CREATE POLICY mine ON core.cases USING (tenant_id = current_setting('app.current_tenant_id', true)::int);
  GRANT USAGE ON SCHEMA core TO ${app};
  GRANT SELECT, INSERT, UPDATE ON core.cases TO ${app};
  GRANT SELECT ON core.users TO ${app};`

export const dumped = ['core.tenants', 'core.users', 'core.cases']

export interface Stored {
  backups: Backups & { held: string[]; judged: Backups['judged']; verdicts: string[] }
  backup: Backup
  /** The folder of the backup's files. */
  folder: string
  tried: Try
}

/** Dumps `place` and seals it, as the runner does. Close `tried` at the end. */
export async function stored(
  place: Ground,
  data: string[] = dumped,
  more: (manifest: Record<string, unknown>) => void = () => undefined,
): Promise<Stored> {
  const entry = { target: 'core', schema: 'all', data, parents: 'refuse', stores: ['main'] }
  const tried = await attempt(dump, place.url, { params: { dump: 'metadata' }, entries: { dump: entry } })
  const { facts } = await carryOut(dump, tried)
  const manifest = tried.writer.manifest(head(tried.fence, { result: facts })) as unknown as Record<string, unknown>
  more(manifest)
  const root = tried.folder.slice(0, -tried.writer.place.length - 1)
  const store = await openStore('main', { url: `file://${root}`, free: '1MiB' })
  const backup: Backup = {
    id: '00000000-0000-7000-8000-000000000002',
    target: 'core',
    kind: 'dump',
    name: 'metadata',
    location: `${store.location}/${tried.writer.place}`,
    createdAt: new Date(),
    bytes: 0,
    verifiedAt: null,
    manifest,
  }
  const held: string[] = []
  const verdicts: string[] = []
  const backups: Stored['backups'] = {
    held,
    verdicts,
    list: ({ name }) => Promise.resolve(name === 'metadata' ? [backup] : []),
    read: (_, file) => store.get(`${tried.writer.place}/${file}`),
    hold: ({ id }) => Promise.resolve(void held.push(id)),
    async attach(_, name, content) {
      await store.putExclusive(`${tried.writer.place}/checks/${name}`, content)
      return `checks/${name}`
    },
    judged: (_, verdict) => Promise.resolve(void verdicts.push(verdict)),
  }
  return { backups, backup, folder: tried.folder, tried }
}

export interface Outcome {
  facts: Facts
  proof: { ok: boolean; reason: string }
}
export interface Facts {
  verdict: string
  checks: { name: string; outcome: string; faults: number; seconds: number }[]
  wrong: string[]
  notes: string[]
  mutations: { caught: number; total: number; mutations: { name: string; outcome: string; by?: string; what: string }[] } | null
  leftOut: string[]
  viewsNotRestorable: string[]
  seconds: Record<string, number>
  rpoSeconds: number
  rtoSeconds: number
  evidence: { file: string; sha256: string }
}

/** Runs and proves one restore check of the stored backup. */
export async function checked(place: Ground, { backups }: Stored, params: Record<string, unknown> = {}): Promise<Outcome> {
  const tried = await attempt(restoreCheck, place.url, { params: { dump: 'metadata', ...params } })
  try {
    Object.assign(tried.c, { backups })
    const facts = restoreCheck.result.parse(await restoreCheck.run(tried.c))
    return { facts: facts as unknown as Facts, proof: await restoreCheck.prove!(tried.c, facts) }
  } finally {
    await tried.close()
  }
}
