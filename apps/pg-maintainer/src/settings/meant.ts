// What the platform's plan says of the server's settings, as data: its parameter group, and what no server that keeps data may have otherwise.
import type { Severity } from '@dbops/contract/signals'

export interface Meant {
  name: string
  /** As the server says it, in the unit of the setting (pg_settings.setting). A list: each of these must be in it. */
  meant: string | readonly string[]
  why: string
  level: Severity
  /** Without this library the setting is dead: it stands in the configuration and nobody reads it. */
  library?: string
}

export const meantSettings: readonly Meant[] = [
  { name: 'fsync', meant: 'on', why: 'without it a crash of the machine destroys the cluster', level: 'critical' },
  { name: 'full_page_writes', meant: 'on', why: 'without it a crash of the machine can tear pages beyond repair', level: 'critical' },
  { name: 'autovacuum', meant: 'on', why: 'without it dead rows stay, statistics age, and wraparound comes nearer', level: 'error' },
  { name: 'track_counts', meant: 'on', why: 'autovacuum and every reading of dead rows live on it', level: 'error' },
  { name: 'autovacuum_vacuum_threshold', meant: '50', why: 'when autovacuum comes to a table: 50 dead rows and 10 %', level: 'info' },
  { name: 'autovacuum_vacuum_scale_factor', meant: '0.1', why: 'when autovacuum comes to a table: 50 dead rows and 10 %', level: 'info' },
  { name: 'autovacuum_analyze_threshold', meant: '50', why: 'when statistics are renewed: 50 changed rows and 5 %', level: 'info' },
  { name: 'autovacuum_analyze_scale_factor', meant: '0.05', why: 'when statistics are renewed: 50 changed rows and 5 %', level: 'info' },
  { name: 'log_min_duration_statement', meant: '1000', why: 'statements of more than 1 s stand in the log', level: 'info' },
  { name: 'log_statement', meant: 'none', why: 'the log holds slow statements alone, and not the values of all', level: 'info' },
  {
    name: 'shared_preload_libraries',
    meant: ['pg_stat_statements', 'auto_explain'],
    why: 'without pg_stat_statements nobody knows which statements cost most; without auto_explain its settings are dead',
    level: 'info',
  },
  { name: 'pg_stat_statements.max', meant: '5000', why: 'so many statements are told apart', level: 'info', library: 'pg_stat_statements' },
  {
    name: 'pg_stat_statements.track',
    meant: 'all',
    why: 'statements inside functions count too',
    level: 'info',
    library: 'pg_stat_statements',
  },
  {
    name: 'auto_explain.log_min_duration',
    meant: '3000',
    why: 'plans of statements of more than 3 s stand in the log',
    level: 'info',
    library: 'auto_explain',
  },
  {
    name: 'auto_explain.log_analyze',
    meant: 'on',
    why: 'the logged plan says what really happened',
    level: 'info',
    library: 'auto_explain',
  },
  { name: 'auto_explain.log_format', meant: 'json', why: 'a program reads the logged plan', level: 'info', library: 'auto_explain' },
]
