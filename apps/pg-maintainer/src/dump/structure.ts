// What a database is made of beside its rows, in a form that two databases can be compared by: written into the manifest of a dump, read again in its copy.
import type { Statements } from '../task.ts'

export interface Relation {
  /** `core.users`; of a schema and a function likewise. */
  name: string
  kind: 'schema' | 'table' | 'partitioned table' | 'view' | 'materialized view' | 'sequence' | 'foreign table' | 'function' | 'column'
  owner: string
  /** Privileges in the server's own spelling, sorted, defaults written out. */
  grants: string
  /** md5 of names, types and NOT NULL of its columns. */
  columns: string | null
  rowSecurity: 'off' | 'on' | 'forced' | null
}

export interface Structure {
  relations: Relation[]
  /** Those that a partition has from its parent are left out, as restoring may name them anew. */
  constraints: (Part & { validated: boolean })[]
  indexes: (Part & { valid: boolean })[]
  /** `enabled` as in pg_trigger: O, D, R or A. */
  triggers: (Part & { enabled: string })[]
}

export interface Part {
  /** The relation that it is part of: `core.users`. */
  of: string
  name: string
}

// What an extension made is its own affair, and depends on its version. Temporary objects are never dumped.
const ours = (catalogue: string, object: string) => `
  NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${object}.oid AND d.objsubid = 0 AND d.deptype = 'e')
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`
const spelled = (acl: string) => `array_to_string(ARRAY(SELECT item::text FROM unnest(${acl}) item ORDER BY item::text COLLATE "C"), ' ')`

const readRelations = `
  SELECT format('%I.%I', n.nspname, c.relname) AS name,
         CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                        WHEN 'S' THEN 'sequence' ELSE 'foreign table' END AS kind,
         pg_get_userbyid(c.relowner)::text AS owner,
         ${spelled(`coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))`)} AS grants,
         (SELECT md5(string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull), ',' ORDER BY attname COLLATE "C"))
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
         CASE WHEN c.relkind NOT IN ('r', 'p') THEN NULL WHEN c.relforcerowsecurity THEN 'forced' WHEN c.relrowsecurity THEN 'on' ELSE 'off' END AS "rowSecurity"
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND c.relpersistence <> 't' AND ${ours('pg_class', 'c')}
   UNION ALL
  SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname), 'column', pg_get_userbyid(c.relowner)::text, ${spelled('a.attacl')}, NULL, NULL
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND ${ours('pg_class', 'c')}
   UNION ALL
  SELECT format('%I', n.nspname), 'schema', pg_get_userbyid(n.nspowner)::text, ${spelled(`coalesce(n.nspacl, acldefault('n', n.nspowner))`)}, NULL, NULL
    FROM pg_namespace n
   WHERE ${ours('pg_namespace', 'n')}
   UNION ALL
  SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), 'function', pg_get_userbyid(p.proowner)::text,
         ${spelled(`coalesce(p.proacl, acldefault('f', p.proowner))`)}, NULL, NULL
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE ${ours('pg_proc', 'p')}
   ORDER BY 1, 2`
const readConstraints = `
  SELECT format('%I.%I', n.nspname, c.relname) AS of, k.conname::text AS name, k.convalidated AS validated
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 AND k.coninhcount = 0 AND ${ours('pg_class', 'c')}
   ORDER BY 1, 2`
const readIndexes = `
  SELECT format('%I.%I', n.nspname, c.relname) AS of, i.relname::text AS name, x.indisvalid AND x.indisready AS valid
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relpersistence <> 't' AND ${ours('pg_class', 'c')}
   ORDER BY 1, 2`
const readTriggers = `
  SELECT format('%I.%I', n.nspname, c.relname) AS of, t.tgname::text AS name, t.tgenabled::text AS enabled
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND ${ours('pg_class', 'c')}
   ORDER BY 1, 2`

export const readStructure = async (pg: Statements): Promise<Structure> => ({
  relations: await readAllRelations(pg),
  constraints: await readAllConstraints(pg),
  indexes: await readAllIndexes(pg),
  triggers: await readAllTriggers(pg),
})
export const readAllRelations = (pg: Statements) => pg.query<Relation>(readRelations)
export const readAllConstraints = (pg: Statements) => pg.query<Structure['constraints'][number]>(readConstraints)
export const readAllIndexes = (pg: Statements) => pg.query<Structure['indexes'][number]>(readIndexes)
export const readAllTriggers = (pg: Statements) => pg.query<Structure['triggers'][number]>(readTriggers)
