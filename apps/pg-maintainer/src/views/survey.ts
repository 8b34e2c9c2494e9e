// What the catalogue says of the materialized views of a group: what they read, whether they can be refreshed beside their readers, whose they are.
import { Refused } from '@dbops/contract/failure'
import { nearMiss } from '@dbops/contract/names'
import { kinds, listed } from '../relations.ts'
import { parseTable, showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface View extends TableName {
  oid: number
  owner: string
  /** Whether our role may refresh it. */
  ours: boolean
  populated: boolean
  /** Whether REFRESH … CONCURRENTLY would find the unique index that it needs. */
  hasKey: boolean
  /** As the planner believes; null where it believes nothing. */
  rows: number | null
  bytes: number
  /** Written anew by every refresh: the transaction that last changed the view's row in pg_class. */
  mark: string
  /** Every relation below it, views taken apart. */
  uses: number[]
  /** Tables below it that have row level security. */
  guarded: string[]
  /** Roles beside the owner that may read it; PUBLIC is one. */
  readers: string[]
}

// The index as is_usable_unique_index of the server demands it: unique at once, valid, plain columns, no WHERE, a B-tree.
// Rules of a view depend on what it reads; `deep` follows them down through other views.
// MAINTAIN came with PostgreSQL 17; the owner of the database may vacuum a view and may not refresh it.
const describeViews = `
  WITH RECURSIVE reads AS (
    SELECT DISTINCT ev_class AS view, refobjid AS uses
      FROM pg_rewrite r
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
     WHERE refobjid <> ev_class
  ), deep AS (
    SELECT view, uses FROM reads WHERE view = ANY ($1)
     UNION
    SELECT deep.view, reads.uses FROM deep JOIN reads ON reads.view = deep.uses
  )
  SELECT c.oid, nspname AS schema, relname AS name, pg_get_userbyid(relowner) AS owner,
         pg_has_role(relowner, 'USAGE')
           OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS ours,
         relispopulated AS populated, c.xmin::text AS mark, nullif(reltuples, -1)::float8 AS rows,
         relpages * current_setting('block_size')::float8 AS bytes,
         EXISTS (SELECT FROM pg_index
                  WHERE indrelid = c.oid AND indisunique AND indimmediate AND indisvalid AND indpred IS NULL AND indexprs IS NULL
                    AND (SELECT amname FROM pg_class i JOIN pg_am a ON a.oid = i.relam WHERE i.oid = indexrelid) = 'btree') AS "hasKey",
         ARRAY(SELECT uses::int8 FROM deep WHERE view = c.oid)::float8[] AS uses,
         ARRAY(SELECT format('%s.%s', tn.nspname, t.relname)
                 FROM deep JOIN pg_class t ON t.oid = uses JOIN pg_namespace tn ON tn.oid = t.relnamespace
                WHERE view = c.oid AND t.relrowsecurity
                ORDER BY 1) AS guarded,
         ARRAY(SELECT DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END
                 FROM aclexplode(relacl)
                WHERE privilege_type = 'SELECT' AND grantee <> relowner
                ORDER BY 1) AS readers
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
   WHERE c.oid = ANY ($1)
   ORDER BY array_position($1, c.oid)`

const findNamed = `
  SELECT c.oid, relkind AS kind, place::int
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (schema, name, place)
    JOIN pg_namespace n ON nspname = asked.schema
    JOIN pg_class c ON relnamespace = n.oid AND relname = asked.name
   ORDER BY place`
const viewsOfSchemas = `
  SELECT nspname AS schema, relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'm' AND nspname = ANY ($1)
   ORDER BY 1, 2`

/** What stands behind the names of a group. */
export interface Members {
  /** In the order of the names. */
  views: View[]
  /** Names that lead to nothing. */
  missing: string[]
  /** Names of something else, with what it is. */
  odd: { text: string; kind: string }[]
  /** Materialized views of the same schemas that no name leads to. */
  others: string[]
}

export async function findMembers(pg: Statements, names: readonly string[]): Promise<Members> {
  const asked = [...new Set(names)].map(text => ({ text, parsed: parseTable(text) }))
  const [schemas, tables] = [asked.map(({ parsed }) => parsed?.schema), asked.map(({ parsed }) => parsed?.name)]
  const found = await pg.query<{ oid: number; kind: string; place: number }>(findNamed, [schemas, tables])
  const views = await pg.query<View>(describeViews, [found.filter(({ kind }) => kind === 'm').map(({ oid }) => oid)])
  const around = (await pg.query<TableName>(viewsOfSchemas, [[...new Set(schemas)]])).map(showTable)
  const shown = new Set(views.map(showTable))
  return {
    views,
    missing: asked.filter((_, at) => !found.some(({ place }) => place === at + 1)).map(({ text }) => text),
    odd: found.filter(({ kind }) => kind !== 'm').map(({ kind, place }) => ({ text: asked[place - 1]!.text, kind })),
    others: around.filter(name => !shown.has(name)),
  }
}

/** The views of a group, in the order of the configuration. Refused: `view_missing` with the nearest names, `not_a_view`, `privilege_missing`. */
export async function viewsOf(pg: Statements, names: readonly string[]): Promise<View[]> {
  const { views, missing, odd, others } = await findMembers(pg, names)
  if (missing.length)
    throw new Refused(`${listed(missing)} ${missing.length > 1 ? 'are' : 'is'} not in the database`, {
      code: 'view_missing',
      hint: missingHint(missing, others),
    })
  if (odd.length)
    throw new Refused(`${odd[0]!.text} is ${kinds[odd[0]!.kind] ?? 'no materialized view'}`, {
      code: 'not_a_view',
      hint: 'a group has materialized views alone: take it out of views in the configuration',
    })
  const foreign = views.filter(({ ours }) => !ours)
  if (foreign.length)
    throw new Refused(`our role may not refresh ${listed(foreign.map(showTable))}`, {
      code: 'privilege_missing',
      hint: `only the owner may: GRANT ${[...new Set(foreign.map(({ owner }) => owner))].join(', ')} to the role of this target`,
    })
  return views
}

/** The nearest name, where one is near; else what there is in the same schema that the group does not have: a new name is often a longer one. */
export function missingHint(missing: readonly string[], others: readonly string[]): string {
  const near = missing.map(text => nearMiss(text, others)).filter(hint => hint !== undefined)
  if (near.length) return near.join(' ')
  return others.length
    ? `of its schema the group does not have ${listed([...others])}: correct views in the configuration`
    : 'it was renamed or dropped: correct views in the configuration'
}
