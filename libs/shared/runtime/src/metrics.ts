// The gauges and counters of one process, as Prometheus scrapes them.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Metrics by name, made at their first use: `metrics.gauge('dbops_runs_waiting', 'help', ['engine', 'lane'])`. */
export interface Metrics {
  registry: Registry
  gauge<L extends string>(name: string, help: string, labels: readonly L[]): Gauge<L>
  counter<L extends string>(name: string, help: string, labels: readonly L[]): Counter<L>
  histogram<L extends string>(name: string, help: string, labels: readonly L[], buckets: number[]): Histogram<L>
}

export function openMetrics(app: string): Metrics {
  const registry = new Registry()
  registry.setDefaultLabels({ app })
  collectDefaultMetrics({ register: registry })
  const once = <T>(name: string, make: () => T): T => (registry.getSingleMetric(name) as T | undefined) ?? make()
  return {
    registry,
    gauge: (name, help, labels) => once(name, () => new Gauge({ name, help, labelNames: [...labels], registers: [registry] })),
    counter: (name, help, labels) => once(name, () => new Counter({ name, help, labelNames: [...labels], registers: [registry] })),
    histogram: (name, help, labels, buckets) =>
      once(name, () => new Histogram({ name, help, labelNames: [...labels], buckets, registers: [registry] })),
  }
}
