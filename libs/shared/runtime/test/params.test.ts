// What a run gets of the entries that its parameters name.
import { taskNamed } from '@dbops/catalog/catalog'
import { configFile } from '@dbops/contract/config-file'
import { describe, expect, test } from 'vitest'
import { resolveParams } from '../src/params.ts'

const refresh = taskNamed('pg.refresh-views')!
const config = (window: object) =>
  configFile.parse({
    zone: 'Asia/Seoul',
    targets: { core: { engine: 'pg', url: 'postgres://db.example/core' } },
    windows: { night: { from: '00:00', to: '06:00', ...window } },
    views: { vision: { target: 'core', members: ['vision.fact'], window: 'night' }, plain: { target: 'core', members: ['vision.fact'] } },
  })

describe('an entry that names a window', () => {
  test.each([
    ['in the zone of the file', {}, 'Asia/Seoul'],
    ['in its own', { zone: 'UTC' }, 'UTC'],
  ])('comes with the window itself, %s', (_, window, zone) => {
    const { entries, target, errors } = resolveParams(refresh, { group: 'vision' }, config(window))
    expect([entries.group, target, errors]).toMatchObject([{ window: { name: 'night', from: '00:00', to: '06:00', zone } }, 'core', []])
  })

  test('one without is as it was', () => {
    expect(resolveParams(refresh, { group: 'plain' }, config({})).entries.group).toEqual({ target: 'core', members: ['vision.fact'] })
  })
})
