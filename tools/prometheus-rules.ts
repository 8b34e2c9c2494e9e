// The alert rules for Prometheus: of every task that it has come about in time, of every probe that it is read, and the platform's own five, corrected.
import type { Catalog } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import { type SignalName, signals } from '@dbops/contract/signals'

interface Rule {
  alert: string
  /** PromQL; lines are joined. */
  expr: string[]
  for: string
  severity: string
  /** What tells it from another rule of the same name. */
  labels?: Record<string, string>
  /** Template of Prometheus. */
  summary: string
  /** A page of docs/operate. */
  page: string
}
interface Group {
  name: string
  /** Why these rules are as they are. */
  about: string
  rules: Rule[]
}

export const prometheusRules = (catalog: Catalog) =>
  `# Derived by \`./dbops derive\` from the declarations; edit those. Tests: rules.test.yml.
# A rule about an old or high figure is silent when the figure is not there, so each stands beside one that speaks then: of the probe that reads it, or of the scheduler.
groups:
${[services(), targets(catalog), tasks(catalog), database()].map(yaml).join('')}`

const services = (): Group => ({
  name: 'dbops-services',
  about: 'Who looks after the rest must be seen to be there.',
  rules: [
    {
      alert: 'DbopsSchedulerAbsent',
      expr: ['absent(dbops_outbox_due)'],
      for: '5m',
      severity: 'critical',
      summary: 'no scheduler is scraped: nothing is planned, and nothing below says that something is late',
      page: 'not-ready',
    },
    {
      alert: 'DbopsRelayAbsent',
      expr: ['absent(process_start_time_seconds{app="alert-relay"})'],
      for: '5m',
      severity: 'error',
      summary: 'no alert relay is scraped: notifications may not go out',
      page: 'not-ready',
    },
    {
      alert: 'DbopsMaintainerAbsent',
      expr: ['absent(dbops_target_up)'],
      for: '5m',
      severity: 'critical',
      summary: 'no maintainer is scraped, or none has a target: nothing is looked after',
      page: 'not-ready',
    },
    {
      alert: 'DbopsRunsWait',
      expr: [
        'min_over_time(max by (engine, lane) (dbops_runs_waiting)[30m:1m]) > 0',
        'unless on (engine, lane) max_over_time(max by (engine, lane) (dbops_runs_running)[30m:1m]) > 0',
      ],
      for: '5m',
      severity: 'error',
      summary: 'runs wait for a {{ $labels.lane }} worker of {{ $labels.engine }}, and none is at work',
      page: 'not-ready',
    },
    {
      alert: 'DbopsEventsStuck',
      expr: ['min_over_time(max(dbops_outbox_due)[15m:1m]) > 0'],
      for: '5m',
      severity: 'error',
      summary: 'events have not reached the stream for a quarter of an hour; {{ $value }} wait',
      page: 'ledger-or-redis-away',
    },
  ],
})

const targets = ({ probes }: Catalog): Group => ({
  name: 'dbops-targets',
  about: 'Each target answers, and each probe of its engine is read.',
  rules: [
    ...probes.filter(isHealth).map(
      ({ engine, emits }): Rule => ({
        alert: pascal(emits.failed),
        expr: [`max by (target) (dbops_target_up{engine="${engine}"}) == 0`],
        for: '1m',
        severity: signals[emits.failed].severity,
        summary: `{{ $labels.target }} does not answer`,
        page: 'target-away',
      }),
    ),
    {
      alert: 'TargetUnwatched',
      expr: [
        'max by (engine, target) (last_over_time(dbops_target_up[6h]))',
        'unless on (engine, target) max by (engine, target) (dbops_target_up)',
      ],
      for: '5m',
      severity: 'error',
      summary: 'nobody looks at {{ $labels.target }} any more; if it was taken out of the configuration, this ends within six hours',
      page: 'target-away',
    },
    {
      alert: 'ProbeFailed',
      expr: [
        'max by (engine, target, probe) (dbops_probe_ok) == 0',
        'unless on (engine, target) max by (engine, target) (dbops_target_up) == 0',
      ],
      for: '10m',
      severity: signals.probe_failed.severity,
      summary: '{{ $labels.probe }} of {{ $labels.target }} cannot be read, though the target answers',
      page: 'target-away',
    },
    ...probes
      .filter(probe => !isHealth(probe))
      .map(
        ({ name, engine, every }): Rule => ({
          alert: 'ProbeAbsent',
          expr: [
            `max by (engine, target) (dbops_target_up{engine="${engine}"}) == 1`,
            `unless on (engine, target) max by (engine, target) (dbops_probe_ok{probe="${name}"})`,
          ],
          // Three readings that did not come, and time enough for a restart.
          for: minutes(3 * parseDuration(every) + 300_000),
          severity: 'warning',
          labels: { probe: name },
          summary: `${name} of {{ $labels.target }} is not read: rules on its figures are silent`,
          page: 'not-ready',
        }),
      ),
  ],
})

/** Whatever is planned is late when it is older than its own plan allows, and it makes no difference whether it failed, was skipped or never began. */
const tasks = (catalog: Catalog): Group => ({
  name: 'dbops-tasks',
  about:
    'What is planned comes about: age of the last success (of the plan, where there was none) against twice the longest interval of its own schedule, so a monthly dump and an hourly one have each their own.',
  rules: [
    ...catalog.tasks.map(({ name, emits, produces }): Rule => {
      const of = `max by (schedule, task, target) (dbops_schedule_$1{task="${name}"})`
      const series = (what: string) => of.replace('$1', what)
      return {
        alert: pascal(emits.failed),
        expr: [
          'time() - (',
          `  ${series('success_timestamp_seconds')}`,
          `  or ${series('planned_timestamp_seconds')}`,
          `) > on (schedule, task, target) ${series('max_age_seconds')}`,
        ],
        for: '15m',
        severity: signals[emits.failed].severity,
        labels: { task: name },
        summary: `${name} (schedule {{ $labels.schedule }}, target {{ $labels.target }}) has not succeeded for {{ $value | humanizeDuration }}`,
        page: produces ? 'backup-failed' : 'task-failed',
      }
    }),
    {
      alert: 'NoBackupPlanned',
      expr: [`absent(dbops_schedule_planned_timestamp_seconds{task=~"${producers(catalog).join('|')}"})`],
      for: '15m',
      severity: 'warning',
      summary: 'no backup is planned at all, or no scheduler is scraped',
      page: 'backup-failed',
    },
  ],
})

/** The platform's own alerts, under the names and thresholds that it gave them. */
const database = (): Group => ({
  name: 'axiom-database',
  about:
    "The platform's five, and the age of its views. Corrected: a rate is per second and its text said per minute; the disk is the one that the target has; the heap is what a collection leaves, not its garbage; BackupFailed stands above, with an age for each kind. ProbeAbsent speaks where a figure is missing.",
  rules: [
    {
      alert: 'HighSlowQueryRate',
      expr: ['sum by (target) (rate(dbops_slow_statements_total[10m])) * 60 > 5'],
      for: '10m',
      severity: 'warning',
      summary: '{{ $labels.target }}: {{ $value | humanize }} slow statements a minute',
      page: 'slow-statements',
    },
    {
      alert: 'HighDeadTuples',
      expr: ['max by (target, table) (dbops_table_dead_rows{table=~"(.*[.])?event_outbox"}) > 100000'],
      for: '30m',
      severity: 'warning',
      summary:
        '{{ $labels.table }} of {{ $labels.target }} has {{ $value }} dead rows: does its vacuum run, and does somebody hold the horizon?',
      page: 'task-failed',
    },
    {
      alert: 'ViewsStale',
      expr: ['max by (target, group) (dbops_mv_age_seconds) > on (target, group) max by (target, group) (dbops_mv_max_age_seconds)'],
      for: '10m',
      severity: 'warning',
      summary: 'the views {{ $labels.group }} of {{ $labels.target }} are {{ $value | humanizeDuration }} old, more than they may be',
      page: 'mv-refresh-failed',
    },
    {
      alert: 'DBDiskUsageHigh',
      expr: ['max by (target) (dbops_disk_usage_percent) > 80'],
      for: '1h',
      severity: 'warning',
      summary: '{{ $labels.target }} fills {{ $value }} % of its disk',
      page: 'disk',
    },
    {
      alert: 'DBDiskUsageUnknown',
      expr: ['max by (target) (dbops_target_up{engine="pg"}) == 1', 'unless on (target) max by (target) (dbops_disk_usage_percent)'],
      for: '1h',
      severity: 'warning',
      summary: 'how full the disk of {{ $labels.target }} is, nobody knows: say `disk:` in its target',
      page: 'disk',
    },
    {
      alert: 'Neo4jHeapHigh',
      expr: [
        'max by (target) (min_over_time(dbops_neo4j_heap_memory_used_bytes[5m]))',
        '/ max by (target) (dbops_neo4j_heap_memory_max_bytes) > 0.85',
      ],
      for: '10m',
      severity: 'warning',
      summary: '{{ $labels.target }} uses {{ $value | humanizePercentage }} of its heap after collections',
      page: 'target-away',
    },
  ],
})

const isHealth = ({ name, engine }: Catalog['probes'][number]) => name === `${engine}.health`
const producers = ({ tasks: all }: Catalog) => all.filter(({ produces }) => produces).map(({ name }) => name)
const pascal = (signal: SignalName) => signal.replace(/(^|_)([a-z])/g, (_, _gap, letter: string) => letter.toUpperCase())
const minutes = (ms: number) => `${Math.ceil(ms / 60_000)}m`

const yaml = ({ name, about, rules }: Group) => `
  # ${about}
  - name: ${name}
    rules:
${rules.map(ruleYaml).join('')}`

const ruleYaml = ({ alert, expr, for: wait, severity, labels = {}, summary, page }: Rule) => `      - alert: ${alert}
        expr: |
${expr.map(line => `          ${line}\n`).join('')}        for: ${wait}
        labels:
          severity: ${severity}
${Object.entries(labels)
  .map(([name, value]) => `          ${name}: ${value}\n`)
  .join('')}        annotations:
          summary: ${JSON.stringify(summary)}
          runbook: docs/operate/${page}.md
`
