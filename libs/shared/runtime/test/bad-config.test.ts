// Every way in which a configuration can be wrong: the line, the path, what was found, the mend.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { alertsOf, signalNames } from '@dbops/contract/signals'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkConfig, readConfig } from '../src/config.ts'
import { ConfigProblem } from '../src/config-problem.ts'
import { testCatalog } from './test-catalog.ts'

type Row = [what: string, text: string, line: number, path: string, message: string, hint: string]

const base = `targets:
  core: { engine: pg, url: "\${CORE_URL}" }
  cache: { engine: redis, url: redis://cache:6379 }
stores: { main: { url: file:///backups } }
dumps: { metadata: { target: core, data: [core.users], stores: [main] } }
windows: { night: { from: "00:00", to: "06:00" } }
`
/** The base, then one schedule from line 8. */
const schedule = (...lines: string[]) => `${base}schedules:\n  nightly:\n${lines.map(line => `    ${line}\n`).join('')}`
const vacuum = ['task: pg.vacuum', 'target: core', 'cron: "30 2 * * *"', 'params: { tables: [core.users] }']
const dump = ['task: pg.dump', 'cron: "30 2 * * *"', 'params: { dump: metadata }']
const tenTimes = (name: string) => Array(10).fill(name).join(', ')
const bomb = [
  'a: &a [1, 1, 1]',
  ...['ab', 'bc', 'cd', 'de', 'ef', 'fg'].map(([from, to]) => `${to}: &${to} [${tenTimes(`*${from}`)}]`),
].join('\n')
const day = 'write 5 fields (minute hour day month weekday) or 6 with seconds first, e.g. "30 2 * * *"'
const ranges = 'minute 0–59, hour 0–23, day 1–31, month 1–12, weekday 0–7'
const aDuration = 'write a whole number and a unit, at most 99999d: 500ms, 30s, 15m, 2h, 7d'
const pgUrl = 'write postgres://user:password@host:5432/database'

// biome-ignore format: one row, one line
const rows: Record<string, Row[]> = {
  text: [
    ['a bracket that is not closed', 'targets: {\nzone: UTC\n', 2, 'zone', 'this is no YAML: flow map in block collection must be sufficiently indented and end with a }', 'look at brackets, quotes and indentation on this line and the one above'],
    ['a value with a colon', 'zone: UTC\nenvironment: a: b\n', 2, 'environment.a', 'this is no YAML: nested mappings are not allowed in compact mappings', 'put a text that contains ": " into quotes, and look at the indentation'],
    ['a tab', 'targets:\n\tcore: {}\n', 2, 'core', 'a tab stands where the line is indented', 'indent with spaces; YAML allows no tabs there'],
    ['a key that stands twice', 'targets:\n  core: { engine: pg }\n  core: { engine: pg }\n', 3, 'targets.core', '"core" stands here twice, first on line 2', 'keep one of the two'],
    ['a variable without quotes in brackets', 'targets:\n  core: { engine: pg, url: ${CORE_URL} }\n', 2, 'targets.core.url', 'a variable stands between brackets without quotes', 'write "${NAME}" in quotes'],
    ['a second document', 'zone: UTC\n---\nzone: UTC\n', 2, 'zone', 'a second document begins here', 'take out the line "---": a configuration is one document'],
    ['an alias bomb', bomb, 1, '', 'aliases blow this file up to more than 10000 values', 'write the values out, or use fewer aliases (*name)'],
    ['an alias inside itself', 'windows: &w\n  night: *w\n', 2, 'windows.night', 'the alias *w contains itself', 'write the value itself'],
    ['an alias of nothing', 'windows:\n  night: &night { from: "00:00", to: "06:00" }\n  late: *nigth\n', 3, 'windows.late', 'there is no anchor &nigth above', 'did you mean "night"?'],
    ['nesting without end', `zone: ${'['.repeat(5000)}`, 1, '', 'this is nested too deeply', 'nest at most 60 levels'],
    ['2 MB', `# ${'x'.repeat(2_000_000)}`, 1, '', 'the file is larger than 1 MiB', 'is this the right file? A configuration has some hundred lines'],
    ['a list', '- zone: UTC\n', 1, '', 'the file is a list', 'begin with keys such as "targets:"'],
  ],
  keys: [
    ['an unknown key at the top', 'zone: UTC\nschedule: {}\n', 2, 'schedule', '"schedule" is not known here', 'did you mean "schedules"?'],
    ['an unknown key inside a target', 'targets:\n  core:\n    engine: pg\n    host: db\n    databse: core\n', 5, 'targets.core.databse', '"databse" is not known here', 'did you mean "database"?'],
    ['a name with capitals', 'targets:\n  Core: { engine: pg, url: "${U}" }\n', 2, 'targets.Core', '"Core" is no name', 'a name has lower-case letters, digits and hyphens and begins with a letter'],
    ['a version of another program', 'version: 2\n', 1, 'version', '2 is not one of 1', 'write 1'],
    ['an environment with spaces', 'environment: my prod\n', 1, 'environment', '"my prod" is no name', 'a name has lower-case letters, digits and hyphens and begins with a letter'],
    ['a missing variable in a common value', 'zone: "${ZONE}"\n', 1, 'zone', 'the environment variable ZONE is not set', 'set ZONE, or give a default: ${ZONE:-…}'],
    ['a variable that is none', 'zone: UTC\nenvironment: "${my env}"\n', 2, 'environment', '"${" begins no variable', 'write ${NAME} or ${NAME:-default}; a plain "${" is written "$${"'],
  ],
  targets: [
    ['an unknown engine', 'targets:\n  core: { engine: postgres, url: "${U}" }\n', 2, 'targets.core.engine', '"postgres" is not one of pg, neo4j, redis', 'did you mean "pg"?'],
    ['no engine', 'targets:\n  core: { url: "${U}" }\n', 2, 'targets.core.engine', 'is missing', 'write engine: pg or neo4j or redis'],
    ['a missing URL', 'targets:\n  core: { engine: pg }\n', 2, 'targets.core.url', 'is missing', 'write url: "${NAME}", or host:, port:, database:, user:, password:'],
    ['a missing URL of Redis', 'targets:\n  cache:\n    engine: redis\n', 2, 'targets.cache.url', 'is missing', 'write text (with ${NAME} for environment variables), { env: NAME } or { file: PATH }'],
    ['a malformed URL', 'targets:\n  core: { engine: pg, url: "postgres://u:geheim@:x/core" }\n', 2, 'targets.core.url', 'is a malformed URL of PostgreSQL', `${pgUrl}; special characters of a password are written as %XX`],
    ['a URL without a database', 'targets:\n  core: { engine: pg, url: postgres://db }\n', 2, 'targets.core.url', 'is a URL of PostgreSQL without a database', pgUrl],
    ['a URL of another engine', 'targets:\n  core: { engine: pg, url: "redis://:${P}@db" }\n', 2, 'targets.core.url', 'begins with redis://, expected PostgreSQL: postgres:// or postgresql://', pgUrl],
    ['a URL of a driver', 'targets:\n  core: { engine: pg, url: "postgresql+asyncpg://${P}" }\n', 2, 'targets.core.url', 'begins with postgresql+asyncpg://, the form of a driver', 'leave the driver out: postgresql://…'],
    ['a URL and its pieces', 'targets:\n  core:\n    engine: pg\n    url: "${U}"\n    host: db\n', 5, 'targets.core.host', 'stands beside a url, which says the same', 'leave out url or host'],
    ['a host without a database', 'targets:\n  core: { engine: pg, host: db }\n', 2, 'targets.core.database', 'is missing', 'write database: …, or one url: in place of the pieces'],
    ['a port that is text', 'targets:\n  core:\n    engine: pg\n    host: db\n    database: core\n    port: "x"\n', 6, 'targets.core.port', 'found "x", expected a number', 'write a number, without quotes'],
    ['a secret of the wrong kind', 'targets:\n  core:\n    engine: pg\n    url: "${U}"\n    password: 12345\n', 5, 'targets.core.password', 'a number is not understood', 'write text (with ${NAME} for environment variables), { env: NAME } or { file: PATH }'],
    ['a secret under a wrong word', 'targets:\n  core:\n    engine: pg\n    url: "${U}"\n    password: { flie: /run/secrets/core }\n', 5, 'targets.core.password.flie', '"flie" is not known here', 'did you mean "file"?'],
    ['a password in the place of a variable', 'targets:\n  core:\n    engine: pg\n    url: "${U}"\n    password: { env: "geheim!" }\n', 5, 'targets.core.password.env', 'a text is no name of an environment variable', 'write the name alone: { env: CORE_PASSWORD }'],
    ['a secret file by a relative path', 'ledger:\n  url: { file: secrets/ledger }\n', 2, 'ledger.url.file', 'a text is no absolute path', 'write { file: /run/secrets/core } or { file: "${CREDENTIALS_DIRECTORY}/core" }'],
    ['a ledger that is a target', `${base}ledger: { url: "\${CORE_URL}" }\n`, 7, 'ledger.url', 'is the database of the target "core"', 'give the ledger a database of its own: it must answer while a target does not'],
  ],
  schedules: [
    ['an unknown zone', 'zone: Asia/Soul\n', 1, 'zone', '"Asia/Soul" is no time zone', 'did you mean "Asia/Seoul"?'],
    ['an unknown zone of a schedule', schedule(...vacuum, 'zone: Mars/Base'), 13, 'schedules.nightly.zone', '"Mars/Base" is no time zone', 'write an IANA zone such as Asia/Seoul, Europe/Berlin or UTC'],
    ['a cron with 4 fields', schedule(...vacuum.with(2, 'cron: "2 * * *"')), 11, 'schedules.nightly.cron', 'cron has 4 fields', day],
    ['minute 61', schedule(...vacuum.with(2, 'cron: "61 2 * * *"')), 11, 'schedules.nightly.cron', 'cron "61 2 * * *": Invalid value for minute: 61', ranges],
    ['an H in a cron', schedule(...vacuum.with(2, 'cron: "H 2 * * *"')), 11, 'schedules.nightly.cron', 'cron field "H" is not understood', 'use numbers, names (mon, jan), "*", ranges, lists and steps'],
    ['a cron that never falls due', schedule(...vacuum.with(2, 'cron: "0 0 30 2 *"')), 11, 'schedules.nightly.cron', 'cron "0 0 30 2 *" is never due', 'no month has that day'],
    ['no cron', schedule(...vacuum.toSpliced(2, 1)), 8, 'schedules.nightly.cron', 'is missing', 'write when it runs, e.g. cron: "30 2 * * *", or event: data_registered'],
    ['an unknown event of a schedule', schedule(...vacuum.with(2, 'event: data_registred')), 11, 'schedules.nightly.event', '"data_registred" is no event', 'did you mean "data_registered"?'],
    ['an event beside a cron', schedule(...vacuum, 'event: data_registered'), 13, 'schedules.nightly.event', 'stands beside cron', 'make two schedules of it'],
    ['a debounce without an event', schedule(...vacuum, 'debounce: 30s'), 13, 'schedules.nightly.debounce', 'stands without event', 'leave it out, or write event: in place of cron'],
    ['a misfire of an event', schedule(...vacuum.with(2, 'event: data_registered'), 'misfire: skip'), 13, 'schedules.nightly.misfire', 'says nothing of an event: it is of schedules with a cron', 'leave it out'],
    ['an event that its own runs tell', schedule(...vacuum.with(2, 'event: run_failed')), 11, 'schedules.nightly.event', 'its own runs tell run_failed: each would bear the next', 'name an event that comes from somewhere else'],
    ['an event that any run may tell', schedule(...vacuum.with(2, 'event: run_lost')), 11, 'schedules.nightly.event', 'its own runs tell run_lost: each would bear the next', 'name an event that comes from somewhere else'],
    ['a lease under 4 heartbeats', 'timers:\n  heartbeat: 10s\n  lease: 30s\n', 3, 'timers.lease', 'a lease of 30s is less than 4 heartbeats of 10s', 'lease: 40s or more, or a shorter heartbeat'],
    ['a heartbeat too long for the default lease', 'timers:\n  heartbeat: 10s\n', 2, 'timers.heartbeat', 'a lease of 30s is less than 4 heartbeats of 10s', 'lease: 40s or more, or a shorter heartbeat'],
    ['an unknown task', schedule(...vacuum.with(0, 'task: pg.vacum')), 9, 'schedules.nightly.task', '"pg.vacum" is no task', 'did you mean "pg.vacuum"?'],
    ['a task of another engine', schedule(...vacuum.with(1, 'target: cache')), 10, 'schedules.nightly.target', 'pg.vacuum is for pg, and "cache" is redis', 'name one of core'],
    ['an unknown target', schedule(...vacuum.with(1, 'targets: [core, coer]')), 10, 'schedules.nightly.targets[1]', '"coer" is not in targets', 'did you mean "core"?'],
    ['an unknown target of an unknown task', schedule('task: pg.prune', 'cron: "1 2 3 4 5"', 'target: coer'), 11, 'schedules.nightly.target', '"coer" is not in targets', 'did you mean "core"?'],
    ['no target', schedule(...vacuum.toSpliced(1, 1)), 8, 'schedules.nightly.target', 'pg.vacuum needs a target', 'name one of core'],
    ['a target of a task without one', schedule('task: ops.tidy', 'cron: "1 2 3 4 5"', 'target: core'), 11, 'schedules.nightly.target', 'ops.tidy works on no target', 'leave the target out'],
    ['a target beside targets', schedule(...vacuum, 'targets: [core]'), 13, 'schedules.nightly.targets', 'stands beside target', 'keep one of target: and targets:'],
    ['a target that contradicts the dump', schedule(...dump, 'target: cache'), 12, 'schedules.nightly.target', '"cache" contradicts "core", the target of the named entry', 'leave the target out'],
    ['an unknown parameter', schedule(...vacuum.with(3, 'params: { tables: [a.b], freez: true }')), 12, 'schedules.nightly.params.freez', '"freez" is not known here', 'did you mean "freeze"?'],
    ['a missing parameter', schedule(...vacuum.with(3, 'params: { freeze: true }')), 12, 'schedules.nightly.params.tables', 'is missing', 'write tables: [ … ], with at least one entry'],
    ['a parameter of the wrong type', schedule(...vacuum.with(3, 'params: { tables: core.users }')), 12, 'schedules.nightly.params.tables', 'found "core.users", expected a list', 'write a list: [core.users]'],
    ['an item of the wrong type', schedule(...vacuum.with(3, 'params: { tables: [5] }')), 12, 'schedules.nightly.params.tables[0]', 'found 5, expected text', 'put it into quotes if it is meant as text'],
    ['a name that is in no section', schedule(...dump.with(2, 'params: { dump: metdata }')), 11, 'schedules.nightly.params.dump', '"metdata" is not in dumps', 'did you mean "metadata"?'],
    ['a negative duration', schedule(...vacuum, 'catchUp: -5m'), 13, 'schedules.nightly.catchUp', '"-5m" is no duration', aDuration],
    ['a duration without a unit', schedule(...vacuum, 'timeout: 90'), 13, 'schedules.nightly.timeout', 'found 90, expected text', aDuration],
    ['a timeout of nothing', schedule(...vacuum, 'timeout: 0s'), 13, 'schedules.nightly.timeout', 'is no time at all', 'write for example 30m'],
    ['a timeout past the deadline', schedule(...vacuum, 'timeout: 3h'), 13, 'schedules.nightly.timeout', 'a timeout of 3h is longer than the deadline of 2h', 'the deadline holds all attempts of a run: write a longer deadline'],
    ['a task of which every run is approved', schedule(...vacuum.with(0, 'task: pg.rewrite').with(3, 'params: {}')), 9, 'schedules.nightly.task', 'every run of pg.rewrite wants an approval, so it has no schedule', 'ask for it by hand: ./dbops run pg.rewrite --help'],
    ['a policy for an unknown window', `${base}policies: { forbid-vacuum-full: { window: nigth } }\n`, 7, 'policies.forbid-vacuum-full.window', '"nigth" is not in windows', 'did you mean "night"?'],
    ['an unknown misfire word', schedule(...vacuum, 'misfire: lates'), 13, 'schedules.nightly.misfire', '"lates" is not one of latest, all, skip', 'did you mean "latest"?'],
    ['all slots without a queue', schedule(...vacuum, 'misfire: all'), 13, 'schedules.nightly.misfire', 'all slots at once would overlap', 'write overlap: queue beside it'],
    ['an unknown window', schedule(...vacuum, 'window: nigth'), 13, 'schedules.nightly.window', '"nigth" is not in windows', 'did you mean "night"?'],
    ['an unknown window in the long form', schedule(...vacuum, 'window: { name: day }'), 13, 'schedules.nightly.window.name', '"day" is not in windows', 'windows has night'],
    ['a priority past 9', schedule(...vacuum, 'priority: 10'), 13, 'schedules.nightly.priority', '10 is more than 9', 'write 9 or less'],
    ['a window that is never open', 'windows:\n  night: { from: "06:00", to: "06:00" }\n', 2, 'windows.night.to', 'the window closes when it opens, at 06:00', 'write another time; 22:00 to 06:00 goes over midnight'],
    ['a time of day that is none', 'windows:\n  night: { from: "24:00", to: "06:00" }\n', 2, 'windows.night.from', '"24:00" is no time of day', 'write "HH:MM", in quotes'],
    ['a blackout that ends before it begins', 'blackouts:\n  - { from: 2027-01-01T06:00, to: 2026-12-31T22:00, reason: year end }\n', 2, 'blackouts[0].to', 'ends at 2026-12-31T22:00, not after its beginning 2027-01-01T06:00', 'exchange from and to'],
    ['a blackout on a day that is none', 'blackouts:\n  - from: 2026-02-30T22:00\n    to: 2026-03-02T00:00\n    reason: leap\n', 2, 'blackouts[0].from', '"2026-02-30T22:00" is no day of the calendar', 'write 2026-12-31T22:00'],
    ['a blackout of an unknown target', `${base}blackouts:\n  - { from: 2026-12-31, to: 2027-01-01, reason: x, targets: [croe] }\n`, 8, 'blackouts[0].targets[0]', '"croe" is not in targets', 'did you mean "core"?'],
    ['a blackout except for an unknown task', 'blackouts:\n  - { from: 2026-12-31, to: 2027-01-01, reason: x, except: [pg.dumb] }\n', 2, 'blackouts[0].except[0]', '"pg.dumb" is no task', 'did you mean "pg.dump"?'],
  ],
  stores: [
    ['a store that is not built', 'stores:\n  main: { url: s3://axiom }\n', 2, 'stores.main.url', 'stores of the kind s3:// are not built yet', 'write file:///absolute/folder'],
    ['a store in a relative folder', 'stores:\n  main: { url: file://backups }\n', 2, 'stores.main.url', 'names no absolute folder', 'write three slashes: file:///var/backups/dbops'],
    ['a dump without tables', base.replace('data: [core.users], ', ''), 5, 'dumps.metadata.data', 'is missing', 'write data: [schema.table, …], or data: all'],
    ['a dump with no table in its list', base.replace('core.users', ''), 5, 'dumps.metadata.data', 'is empty', 'write data: [schema.table, …], or data: all'],
    ['a table without a schema', base.replace('core.users', 'users'), 5, 'dumps.metadata.data[0]', '"users" is no table', 'write schema.table, as the catalogue spells it; quote a name that has a dot or a space: "My Table"'],
    ['a dump into two stores', base.replace('[main]', '[main, copy]').replace('main: {', 'copy: { url: file:///copy }, main: {'), 5, 'dumps.metadata.stores', 'more than one store per dump is not built: main, copy', 'keep one: stores: [main]'],
    ['a dump into an unknown store', base.replace('[main]', '[mian]'), 5, 'dumps.metadata.stores[0]', '"mian" is not in stores', 'did you mean "main"?'],
    ['a dump of Redis', base.replace('target: core', 'target: cache'), 5, 'dumps.metadata.target', '"cache" is redis; dumps are of pg targets', 'name one of core'],
    ['a table that is listed twice', base.replace('core.users', 'core.users, core.cases, core.users'), 5, 'dumps.metadata.data[2]', '"core.users" is listed twice', 'keep one'],
    ['a purge that tells what it cannot', `${base}purges:\n  old: { target: core, table: core.logs, by: created_at, age: 30d, event: outbox_cleanup_complete }\n`, 8, 'purges.old.event', '"outbox_cleanup_complete" is no event of pg.purge', 'did you mean "outbox_cleanup_completed"?'],
    ['a purge of two statements', `${base}purges:\n  old: { target: core, table: core.logs, where: "status = 'x'; DROP TABLE y", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'has a semicolon: it is one condition, not several statements', "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge with a comment', `${base}purges:\n  old: { target: core, table: core.logs, where: "1=1 -- ", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'has a comment, which could hide the end of the condition', "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge whose parentheses are open', `${base}purges:\n  old: { target: core, table: core.logs, where: "(status = 'x'", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'has parentheses that do not belong together', "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge that closes what is not its own', `${base}purges:\n  old: { target: core, table: core.logs, where: "true) or (true", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'has parentheses that do not belong together', "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge whose string is open', `${base}purges:\n  old: { target: core, table: core.logs, where: "status = 'x", by: created_at, age: 30d }\n`, 8, 'purges.old.where', "has a ' that nothing closes", "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge of nothing but a space', `${base}purges:\n  old: { target: core, table: core.logs, where: " ", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'is empty: it would be true of every row', "write a condition over the table's own columns, such as status = 'PUBLISHED'"],
    ['a purge of an empty condition', `${base}purges:\n  old: { target: core, table: core.logs, where: "", by: created_at, age: 30d }\n`, 8, 'purges.old.where', 'is an empty text', "write a condition such as status = 'PUBLISHED'; left out, every row past its age may go"],
    ['a pool of an empty user', `${base}pools:\n  app: { target: core, match: { user: "" }, size: 5 }\n`, 8, 'pools.app.match.user', 'is an empty text', 'write something, or leave the key out'],
    ['a pool of every session', `${base}pools:\n  app: { target: core, match: {}, size: 5 }\n`, 8, 'pools.app.match', 'every session would be of this pool', 'write application_name:, user: or database:'],
    ['a dump of nothing', base.replace('target: core', 'target: crm'), 5, 'dumps.metadata.target', '"crm" is not in targets', 'did you mean "core"?'],
  ],
  alerts: [
    ['a route to an unknown channel', 'alerts:\n  channels: { ops: { type: console } }\n  routes:\n    - { to: [ops] }\n    - { to: [ops, slak] }\n', 5, 'alerts.routes[1].to[1]', '"slak" is not in alerts.channels', 'alerts.channels has ops'],
    ['an unknown event', 'alerts:\n  channels: { ops: { type: console } }\n  routes:\n    - match: { event: [backup_fialed] }\n      to: [ops]\n', 4, 'alerts.routes[0].match.event[0]', '"backup_fialed" is no event', 'did you mean "backup_failed"?'],
    ['an event that opens no alert', 'alerts:\n  channels: { ops: { type: console } }\n  routes:\n    - match: { event: [backup_completed] }\n      to: [ops]\n', 4, 'alerts.routes[0].match.event[0]', '"backup_completed" opens no alert', `alerts are opened by ${signalNames.filter(name => alertsOf(name).opens).join(', ')}`],
    ['an unknown severity', 'alerts:\n  channels: { ops: { type: console } }\n  routes:\n    - match: { severity: [eror] }\n      to: [ops]\n', 4, 'alerts.routes[0].match.severity[0]', '"eror" is not one of info, warning, error, critical', 'did you mean "error"?'],
    ['an unknown channel type', 'alerts:\n  channels:\n    ops: { type: slack }\n', 3, 'alerts.channels.ops.type', '"slack" is not one of webhook, console', 'write webhook or console'],
    ['a webhook without a secret', 'alerts:\n  channels:\n    ops: { type: webhook, url: "${HOOK}" }\n', 3, 'alerts.channels.ops.secret', 'is missing', 'write text (with ${NAME} for environment variables), { env: NAME } or { file: PATH }'],
    ['a webhook that is no web address', 'alerts:\n  channels:\n    ops: { type: webhook, url: "ftp://x", secret: "${S}" }\n', 3, 'alerts.channels.ops.url', 'begins with ftp://, expected a webhook: https:// or http://', 'write https://host/path'],
    ['a target list that is one word', 'alerts:\n  channels: { ops: { type: console } }\n  routes:\n    - to: ops\n', 4, 'alerts.routes[0].to', 'found "ops", expected a list', 'write a list: [ops]'],
    ['a reader under the name of one of ours', 'streams:\n  groups:\n    scheduler: {}\n', 3, 'streams.groups.scheduler', '"scheduler" is a group of our own', 'name the reader after its service'],
    ['an ingest of an unknown event', `${base}ingest:\n  events: { target: cache, stream: s, keep: [data_registred] }\n`, 8, 'ingest.events.keep[0]', '"data_registred" is no event', 'did you mean "data_registered"?'],
    ['an ingest of a PostgreSQL target', `${base}ingest:\n  events: { target: core, stream: s, keep: [data_registered] }\n`, 8, 'ingest.events.target', '"core" is pg; ingest are of redis targets', 'name one of cache'],
    ['two ingests in one group', `${base}ingest:\n  one: { target: cache, stream: s, keep: [data_registered] }\n  two: { target: cache, stream: s, group: dbops, keep: [db_query_slow] }\n`, 9, 'ingest.two.group', 'reads the same stream in the same group as one', 'each would get a part of the entries: make one entry of them, or name another group'],
    ['a reader that is waited for too briefly', 'streams:\n  groups:\n    reporting: { maxLag: 7d }\n', 3, 'streams.groups.reporting.maxLag', '7d is not longer than the 7d that every event stays', 'write more than 7d'],
  ],
}

for (const [section, bad] of Object.entries(rows))
  describe(section, () => {
    test.each(bad)('%s is told with its line, path and mend', (_, text, line, path, message, hint) => {
      expect(check(text).errors).toContainEqual({ file: 'axiom.yaml', line, path, message, hint })
    })
  })

// A single slip must not bury its message under others that follow from it. The exception has two slips.
test.each(
  Object.values(rows)
    .flat()
    .filter(([what]) => what !== 'an unknown target of an unknown task'),
)('%s is one error', (_, text) => {
  expect(check(text).errors).toHaveLength(1)
})

test('all errors of a file are told, in its order', () => {
  const text =
    'zonne: UTC\ntargets:\n  Core: { engine: mysql }\n  core: { engine: pg, url: postgres://db/core, prot: 1 }\nschedules:\n  v: { task: pg.vacum, cron: "1 2 3 4", target: cor }\n'
  expect(check(text).errors.map(({ line, path }) => `${line} ${path}`)).toEqual([
    '1 zonne',
    '3 targets.Core',
    '3 targets.Core.engine',
    '4 targets.core.prot',
    '6 schedules.v.task',
    '6 schedules.v.cron',
    '6 schedules.v.target',
  ])
})

test('a thrown problem tells the first error in one line, and holds them all', () => {
  const problem = thrown(() => readConfig('axiom.yaml', { text: 'zone: Asia/Soul\nfoo: 1\n', catalog: testCatalog }))
  expect(problem).toMatchObject({
    code: 'config',
    message: 'axiom.yaml:1 zone: "Asia/Soul" is no time zone (and 1 more)',
    hint: 'did you mean "Asia/Seoul"?',
    errors: [{ path: 'zone' }, { path: 'foo' }],
  })
  expect(problem).toBeInstanceOf(ConfigProblem)
})

test('no message repeats a secret', () => {
  const told = Object.values(rows)
    .flat()
    .flatMap(([, text]) => check(text).errors)
  expect(JSON.stringify(told)).not.toContain('geheim')
})

describe('bytes', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'dbops-config-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test.each([
    [
      'bytes that are no UTF-8',
      Buffer.concat([Buffer.from('zone: UTC\nenvironment: '), Buffer.from([0xff, 0xfe, 0x0a])]),
      2,
      'the bytes here are no UTF-8',
      'save the file as UTF-8',
    ],
    [
      'a file of 2 MB',
      Buffer.alloc(2_000_000, 'a'),
      1,
      'the file is larger than 1 MiB',
      'is this the right file? A configuration has some hundred lines',
    ],
  ])('%s are told with their line', (_, bytes, line, message, hint) => {
    const file = join(folder, 'bytes.yaml')
    writeFileSync(file, bytes)
    expect(checkConfig(file, { catalog: testCatalog }).errors).toEqual([{ file, line, path: '', message, hint }])
  })

  test('a file that is not there is told by name', () => {
    const file = join(folder, 'none.yaml')
    expect(checkConfig(file).errors).toEqual([
      { file, line: 1, path: '', message: 'the file does not exist', hint: 'name another with --config FILE' },
    ])
  })

  test('a folder is told to be one', () => {
    expect(checkConfig(folder).errors).toMatchObject([{ message: 'this is a folder' }])
  })
})

function check(text: string) {
  return checkConfig('axiom.yaml', { text, env: {}, catalog: testCatalog })
}

function thrown(act: () => unknown): unknown {
  try {
    act()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
