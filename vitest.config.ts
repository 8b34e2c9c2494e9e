// One run, one project per package; servers are started once for all of them (libs/shared/testing/src/global-setup.ts).
import { existsSync, readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const here = import.meta.dirname
const packages = ['apps', 'libs/shared']
  .flatMap(folder => readdirSync(`${here}/${folder}`).map(name => ({ name, root: `${here}/${folder}/${name}` })))
  .filter(({ root }) => existsSync(`${root}/package.json`))
  .concat({ name: 'tools', root: `${here}/tools` })

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
    globalSetup: `${here}/libs/shared/testing/src/global-setup.ts`,
    maxWorkers: 2,
  },
})
