// One run, one project per package; servers are started once for all of them (libs/shared/testing/src/global-setup.ts).
import { readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const packages = ['apps', 'libs/shared'].flatMap(folder => readdirSync(folder).map(name => ({ name, root: `${folder}/${name}` })))

export default defineConfig({
  test: {
    projects: packages.map(({ name, root }) => ({
      test: {
        name,
        root,
        include: ['test/**/*.test.ts'],
        testTimeout: 60_000,
        hookTimeout: 120_000,
        pool: 'forks',
      },
    })),
    maxWorkers: 2,
  },
})
