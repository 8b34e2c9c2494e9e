// A Prometheus of Debian's own that scrapes services of ours, for tests of rules and metrics.
import { writeFileSync } from 'node:fs'
import { findOrInstall } from '@dbops/servers/install'
import { startNative } from '@dbops/servers/native'

/** Scrapes each of `pages` (`http://127.0.0.1:1234`) every second and evaluates the rules of `ruleFiles`. `url` is its own page. */
export async function startPrometheus({ pages, ruleFiles }: { pages: string[]; ruleFiles: string[] }) {
  const program = await findOrInstall('prometheus')
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: [{ job_name: 'dbops', static_configs: [{ targets: pages.map(page => new URL(page).host) }] }],
  }
  return startNative({
    what: 'Prometheus',
    stopWith: [['SIGTERM', 5_000]],
    patience: 20_000,
    say: line => console.error(line),
    prepare: (folder, port) => {
      // JSON is YAML.
      writeFileSync(`${folder}/prometheus.yml`, JSON.stringify(config))
      const url = `http://127.0.0.1:${port}`
      const flags = {
        'config.file': `${folder}/prometheus.yml`,
        'storage.tsdb.path': `${folder}/data`,
        'web.listen-address': new URL(url).host,
      }
      return Promise.resolve({
        argv: [program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)] as [string, ...string[]],
        url,
      })
    },
    async answers(url) {
      const response = await fetch(`${url}/-/ready`)
      if (!response.ok) throw new Error(`it says ${response.status}`)
    },
  })
}
