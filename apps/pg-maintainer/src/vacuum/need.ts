// Why a table needs a vacuum, in words with figures in them, and which one goes first. Pure.
import type { Measure } from './survey.ts'

/**
 * At this share of `autovacuum_freeze_max_age` a table is frozen by us, at an hour of our choosing. At the whole of it autovacuum comes for it
 * at any hour, and cannot be cancelled by those who wait for the table. It is also where PostgreSQL itself begins to freeze everything that
 * it meets (vacuum_freeze_table_age, 150 of 200 million).
 */
export const freezeShare = 0.75

export type Wear = Pick<Measure, 'dead' | 'threshold' | 'inserted' | 'insertThreshold' | 'age' | 'freezeMax' | 'mxidAge' | 'mxidFreezeMax'>

/** Empty where nothing is the matter. */
export function needs(table: Wear): string[] {
  const { dead, threshold, inserted, insertThreshold, age, freezeMax, mxidAge, mxidFreezeMax } = table
  return [
    ...(age > freezeShare * freezeMax ? [`its oldest row is ${age} transactions old; at ${freezeMax} autovacuum comes at any hour`] : []),
    ...(mxidAge > freezeShare * mxidFreezeMax
      ? [`its oldest row lock is ${mxidAge} multixacts old; at ${mxidFreezeMax} autovacuum comes at any hour`]
      : []),
    ...(dead > threshold ? [`${dead} dead rows; autovacuum comes at ${Math.round(threshold)}`] : []),
    ...(insertThreshold !== null && inserted > insertThreshold
      ? [`${inserted} new rows since the last vacuum; autovacuum comes at ${Math.round(insertThreshold)}`]
      : []),
  ]
}

/** Whether a vacuum has to go through all of it, to make its oldest row younger. */
export const mustFreeze = ({ age, freezeMax, mxidAge, mxidFreezeMax }: Wear): boolean =>
  age > freezeShare * freezeMax || mxidAge > freezeShare * mxidFreezeMax

/** What gets old goes first, the oldest of it at the head; then by how far a table is past its number. */
export const byUrgency = (a: Wear, b: Wear): number => Number(mustFreeze(b)) - Number(mustFreeze(a)) || urgency(b) - urgency(a)

const urgency = (table: Wear): number => {
  const { dead, threshold, inserted, insertThreshold, age, freezeMax, mxidAge, mxidFreezeMax } = table
  if (mustFreeze(table)) return Math.max(age / freezeMax, mxidAge / mxidFreezeMax)
  return Math.max(dead / Math.max(threshold, 1), insertThreshold === null ? 0 : inserted / Math.max(insertThreshold, 1))
}
