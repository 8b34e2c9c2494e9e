// pg.settings: the server's settings against the platform's plan: what is meant, what is found, what is dead.
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { type ComparedSetting, comparedSetting, compareSetting, listOf, type Setting, settingSql } from '../settings/compare.ts'
import { type Meant, meantSettings } from '../settings/meant.ts'
import { defineProbe } from '../task.ts'

// A setting that only some may see is missing in pg_settings, where current_setting would be an error; that of a library that is not loaded
// is missing too, and current_setting has what was written for it. Names with a dot are those of libraries.
const readSettings = `
  SELECT asked.name, s.setting, s.unit, s.source, coalesce(s.pending_restart, false) AS "waitsForRestart",
         CASE WHEN asked.name LIKE '%.%' THEN current_setting(asked.name, true) END AS written
    FROM unnest($1::text[]) AS asked (name)
    LEFT JOIN pg_settings s USING (name)`

export default defineProbe({
  name: 'pg.settings',
  summary: "The server's settings against the platform's plan: meant, found, dead",
  every: '5m',
  result: z.strictObject({ settings: z.array(comparedSetting), differing: z.int(), dead: z.int() }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ differing, dead }) => ({ settings_differing: differing, settings_dead: dead }),
  async look(c) {
    const rows = await c.pg.query<Setting>(readSettings, [meantSettings.map(({ name }) => name)])
    const byName = new Map(rows.map(row => [row.name, row]))
    const preloaded = byName.get('shared_preload_libraries')?.setting ?? null
    const libraries = preloaded === null ? null : listOf(preloaded)
    const settings = meantSettings.map(meant => compareSetting(meant, byName.get(meant.name), libraries))
    for (const [index, setting] of settings.entries())
      if (setting.verdict === 'differs' || setting.verdict === 'dead') c.find(faultOf(meantSettings[index]!, setting))
    const having = (verdict: string) => settings.filter(setting => setting.verdict === verdict).length
    return { settings, differing: having('differs'), dead: having('dead') }
  },
})

function faultOf(meant: Meant, setting: ComparedSetting): Fault {
  const { name, found, unit, verdict, reason, waitsForRestart } = setting
  const sql = settingSql(meant, setting)
  const withUnit = (value: string) => (unit ? `${value} (${unit})` : value)
  return {
    key: `setting ${name}`,
    level: verdict === 'dead' ? 'info' : meant.level,
    what:
      verdict === 'dead'
        ? `${name} is set to ${found} and has no effect: ${reason}`
        : `${name} is ${withUnit(found!)}; meant is ${withUnit(setting.meant)}: ${meant.why}`,
    hint: waitsForRestart
      ? 'another value stands in its files: restart the server'
      : name === 'shared_preload_libraries'
        ? 'takes a restart; with a provider it belongs into the parameter group'
        : 'then SELECT pg_reload_conf(); with a provider it belongs into the parameter group',
    ...(sql ? { sql } : {}),
    evidence: { ...setting },
  }
}
