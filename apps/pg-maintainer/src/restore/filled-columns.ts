// The columns that sequences fill: owned (serial, identity), or named in the column's default.
export interface Filled {
  sequenceSchema: string
  sequenceName: string
  schema: string
  name: string
  column: string
  /** For a statement. */
  quotedColumn: string
  step: number
}

/** A sequence that begins anew at its end may be anywhere. Sorted by the sequence. */
export const columnsWithSequence = `
  WITH filled AS (
    SELECT objid AS sequence, refobjid AS "table", refobjsubid AS number
      FROM pg_depend
     WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')
     UNION
    SELECT refobjid, adrelid, adnum
      FROM pg_depend JOIN pg_attrdef a ON a.oid = objid
     WHERE classid = 'pg_attrdef'::regclass AND refclassid = 'pg_class'::regclass
  )
  SELECT sn.nspname AS "sequenceSchema", s.relname AS "sequenceName", tn.nspname AS schema, t.relname AS name,
         attname AS column, quote_ident(attname) AS "quotedColumn", seqincrement::float8 AS step
    FROM filled
    JOIN pg_class s ON s.oid = sequence AND s.relkind = 'S'
    JOIN pg_namespace sn ON sn.oid = s.relnamespace
    JOIN pg_sequence ON seqrelid = s.oid AND NOT seqcycle
    JOIN pg_class t ON t.oid = "table" AND t.relkind IN ('r', 'p')
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    JOIN pg_attribute ON attrelid = t.oid AND attnum = number AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
   ORDER BY 1, 2`
