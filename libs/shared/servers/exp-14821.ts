import { startNeo4j } from './src/neo4j.ts'
import neo4j from 'neo4j-driver'
const s = await startNeo4j()
const u = new URL(s.url)
const d = (ua='x', pw=decodeURIComponent(u.password), max=50) => neo4j.driver(`bolt://${u.host}`, neo4j.auth.basic('neo4j', pw), { disableLosslessIntegers: true, telemetryDisabled: true, userAgent: ua, maxConnectionPoolSize: max, maxTransactionRetryTime: 15000, connectionAcquisitionTimeout:30000, connectionTimeout: 5000 })
const a = d('dbops:a'), b = d('dbops:b')
const q = async (dr: any, c: string, p = {}, db?: string) => { const se = dr.session(db ? {database: db} : {}); try { return (await se.run(c, p)).records.map((r:any) => r.toObject()) } catch (e: any) { return [e.code, e.message] } finally { await se.close() } }
console.log(JSON.stringify(await q(a, 'SHOW DATABASES', {}, 'system')))
console.log(JSON.stringify(await q(a, 'CALL dbms.components()')))
console.log(JSON.stringify(await q(a, "CALL dbms.queryJmx('java.lang:type=Memory') YIELD attributes RETURN attributes.HeapMemoryUsage.value.properties AS h")))
console.log(JSON.stringify(await q(a, "CALL dbms.queryJmx('java.lang:type=Runtime') YIELD attributes RETURN attributes.Uptime.value AS h")))
console.log(JSON.stringify(await q(a, "MATCH (n) RETURN count(n) AS nodes")), JSON.stringify(await q(a, "MATCH ()-->() RETURN count(*) AS nodes")))
console.log(JSON.stringify(await q(a, "CALL dbms.listConnections() YIELD connectionId, userAgent")))
const se = a.session(); const tx = await se.beginTransaction({ metadata: { dbops: 'i:1:t' }, timeout: 0 } as any)
console.log('begun only', JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD *")))
console.log(JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId, metaData, status, database, currentQuery WHERE metaData.dbops STARTS WITH 'i:1:' RETURN transactionId")))
console.log(JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId AS t, metaData WHERE any(p IN $p WHERE metaData.dbops STARTS WITH p) TERMINATE TRANSACTIONS t YIELD transactionId, message RETURN transactionId, message", {p: ['i:1:']})))
console.log('after', JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId, metaData, status")))
await new Promise(r => setTimeout(r, 1500))
console.log('after 1.5s', JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId, metaData, status")))
try { await tx.run('RETURN 1') } catch (e: any) { console.log(e.code, e.message, e.retriable) }
console.log('after run', JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId, metaData, status")))
// with a write lock
const se2 = a.session(); const tx2 = await se2.beginTransaction({ metadata: { dbops: 'i:2:t' } }); await tx2.run('CREATE (n:X {a:1}) RETURN n')
console.log(JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId AS t, metaData WHERE any(p IN $p WHERE metaData.dbops STARTS WITH p) TERMINATE TRANSACTIONS t YIELD transactionId, message RETURN transactionId, message", {p: ['i:2:']})))
console.log('after', JSON.stringify(await q(b, "SHOW TRANSACTIONS YIELD transactionId, metaData, status")))
try { await tx2.commit(); console.log('COMMITTED') } catch (e: any) { console.log('commit', e.code, e.message) }
console.log(JSON.stringify(await q(b, "CALL dbms.listConnections() YIELD connectionId, userAgent WHERE userAgent STARTS WITH 'dbops:a' CALL dbms.killConnection(connectionId) YIELD message RETURN message")))
console.log(JSON.stringify(await q(b, "CALL dbms.listConnections() YIELD connectionId, userAgent WITH connectionId, userAgent WHERE userAgent STARTS WITH 'dbops:a' CALL dbms.killConnection(connectionId) YIELD message RETURN message")))
console.log(JSON.stringify(await q(b, "CALL dbms.listConnections() YIELD connectionId, userAgent")))
// in explicit tx
const se3 = b.session({database: 'system'}); const tx3 = await se3.beginTransaction(); try { console.log((await tx3.run('SHOW DATABASES')).records.length, (await tx3.run('SHOW TRANSACTIONS')).records.length)} catch (e: any) { console.log('tx', e.code, e.message)}; await se3.close()
for (let i = 0; i < 5; i++) { const w = d('w', 'wrongwrong'); console.log(await q(w, 'RETURN 1')); await w.close() }
console.log(await q(b, 'RETURN 1'))
const cc = d('ok'); console.log('fresh right', await q(cc, 'RETURN 1')); await cc.close()
console.log('unknown host', await q(neo4j.driver('bolt://127.0.0.1:1', neo4j.auth.basic('a','b')), 'RETURN 1'))
console.log('no auth', await q(neo4j.driver(`bolt://${u.host}`), 'RETURN 1'))
console.log('neo4j scheme', await q(neo4j.driver(`neo4j://${u.host}`, neo4j.auth.basic('neo4j', decodeURIComponent(u.password))), 'RETURN 1'))
process.kill(s.pid!, 'SIGSTOP')
const t0 = Date.now(); const f = d('frozen'); console.log('frozen', await q(f, 'RETURN 1'), Date.now()-t0); 
process.kill(s.pid!, 'SIGCONT')
await a.close(); await b.close(); await s.stop(); process.exit(0)
