// What partitioned tables consist of, all of them in one query.
import type { Relation } from '../relations.ts'
import type { Statements } from '../task.ts'

const leavesOf = `
  SELECT root, relid::oid AS oid, nspname AS schema, relname AS name, relkind AS kind
    FROM unnest($1::oid[]) AS root
   CROSS JOIN LATERAL pg_partition_tree(root)
    JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = relnamespace
   WHERE isleaf
   ORDER BY root, nspname, relname`

/** By the partitioned table: its partitions that hold rows, or lie on another server. No query where nothing is partitioned. */
export async function partitions(pg: Statements, parents: Relation[]): Promise<Map<number, Relation[]>> {
  if (!parents.length) return new Map()
  const leaves = await pg.query<Relation & { root: number }>(leavesOf, [parents.map(({ oid }) => oid)])
  return Map.groupBy(leaves, ({ root }) => root)
}
