// Nothing in the copy acts by itself: jobs of pg_cron would run here, and even against the original.
import { type Check, type Copy, plant } from '../restore/check.ts'

const actors = `
  SELECT format('extension %s', extname) AS what FROM pg_extension WHERE extname = 'pg_cron'
   UNION ALL
  SELECT 'table cron.job, the jobs of pg_cron' FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'cron' AND relname = 'job'
   UNION ALL
  SELECT format('subscription %s', subname) FROM pg_subscription
   UNION ALL
  SELECT format('%s = %s', name, setting) FROM pg_settings
   WHERE name IN ('shared_preload_libraries', 'session_preload_libraries') AND setting <> ''
      OR name = 'max_logical_replication_workers' AND setting <> '0'`

export const noJobs: Check = {
  name: 'no-jobs',
  about: 'nothing in the copy acts by itself',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA IF NOT EXISTS cron', 'CREATE TABLE IF NOT EXISTS cron.job (command text)')
    return look(copy)
  },
}

async function look({ pg }: Copy): Promise<string[]> {
  return (await pg.query<{ what: string }>(actors)).map(({ what }) => `in the copy there is ${what}`)
}
