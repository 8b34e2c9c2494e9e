// pg.restore-check on real dumps and a real scratch server.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ground, ground } from './harness.ts'
import { checked, notPassed, platform, type Stored, stored } from './restore-ground.ts'

let place: Ground
let backup: Stored

beforeAll(async () => {
  const app = `t_app_${process.pid}`
  place = await ground(`CREATE ROLE ${app} LOGIN; ${platform(app)}`)
  backup = await stored(place)
})
afterAll(async () => {
  await backup.tried.close()
  await place.drop()
})

describe('pg.restore-check', () => {
  test('restores a good dump, finds nothing, and its checks see every fault that is planted for them', async () => {
    const outcome = await checked(place, backup, { mutate: true })
    expect([notPassed(outcome), outcome.proof.ok, outcome.facts.mutations]).toMatchObject([[], true, { caught: 20, total: 20 }])
  }, 60_000)
})
