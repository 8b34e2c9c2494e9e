import { startNeo4j } from './neo4j.ts'

for (let i = 0; i < 2; i++) {
  const t = performance.now()
  const s = await startNeo4j()
  console.log(s, performance.now() - t)
  const { execSync } = await import('node:child_process')
  console.log(execSync(`grep VmRSS /proc/${s.pid}/status; du -sh /tmp/dbops-neo4j-*`).toString())
  try {
    await startNeo4j({ url: s.url.replace(/:[^:@]+@/, ':xyz@') })
  } catch (e) {
    console.log(String(e))
  }
  const t2 = performance.now()
  await s.stop()
  console.log('stop', performance.now() - t2)
}
try {
  await startNeo4j({ settings: { nonsense: '1' } })
} catch (e) {
  console.log(String(e))
}
