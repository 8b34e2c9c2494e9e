// The derived page docs/reference/metrics.md: what Prometheus finds, and where it comes from.
import type { Catalog } from '@dbops/catalog/catalog'
import type { Metric } from './metrics.ts'
import { page, table } from './reference.ts'

export function metricsPage(metrics: Metric[], { probes }: Catalog): string {
  const ours = metrics.filter(({ compat }) => !compat)
  const of = (name: string) => ours.filter(({ from }) => from === name)
  const read = new Set(probes.map(({ name }) => name))
  return page(
    'Metrics',
    [
      'What the page `/metrics` of the services shows. Every metric has the label `app`; a figure that cannot be known, or that nobody reads any more, is not there.',
      'Alert rules on them: `deploy/prometheus/rules.yml`.',
    ].join('\n'),
    '## Targets',
    'Read by one process at a time, with the labels `engine` and `target`: `max by (target) (…)` is the value, whoever reads.',
    table(['Metric', 'Labels', 'Meaning'], always.map(row)),
    ...probes
      .filter(({ name }) => of(name).length)
      .flatMap(({ name, summary, every }) => [
        `### ${name}`,
        `${summary}; every ${every}.`,
        of(name)
          .map(({ name: metric, labels }) => `* \`${metric}${labels.length ? `{${labels.join(', ')}}` : ''}\``)
          .join('\n'),
      ]),
    '## Services',
    table(
      ['Metric', 'Kind', 'Labels', 'Meaning', 'From'],
      ours
        .filter(({ from }) => !read.has(from))
        .map(({ name, kind, labels, help, from }) => [`\`${name}\``, kind, labels.join(', '), help, from]),
    ),
    '## Names of others',
    'What the platform and well-known exporters call the same figures, with the label `target`; left out where the configuration says `metrics: { compat: false }`.',
    table(
      ['Metric', 'Labels', 'From'],
      metrics.filter(({ compat }) => compat).map(({ name, labels, from }) => [`\`${name}\``, labels.join(', '), from]),
    ),
  )
}

/** Set by whoever reads, for every probe there is. */
const always = [
  { name: 'dbops_target_up', labels: [], help: 'whether the target answers: of the `.health` probe of its engine' },
  { name: 'dbops_probe_ok', labels: ['probe'], help: 'whether the last reading of the probe succeeded' },
]
const row = ({ name, labels, help }: (typeof always)[number]) => [`\`${name}\``, labels.join(', '), help]
