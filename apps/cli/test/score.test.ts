// The score of `test`: what counts as a failure beside a test that failed.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { scoreOf } from '../src/run-tests.ts'

const place = mkdtempSync(join(tmpdir(), 'cli-score-'))
afterAll(() => rmSync(place, { recursive: true }))

const good = { status: 'passed', assertionResults: [{}] }
const unloaded = { status: 'failed', assertionResults: [] }

test.each([
  ['all is well', { numPassedTests: 3, numFailedTests: 0, testResults: [good] }, 0, { passed: 3, failed: 0 }],
  ['a test failed', { numPassedTests: 2, numFailedTests: 1, testResults: [good] }, 1, { passed: 2, failed: 1 }],
  ['a file could not be loaded', { numPassedTests: 3, numFailedTests: 0, testResults: [good, unloaded] }, 1, { passed: 3, failed: 1 }],
  ['every test passed and the run ended badly', { numPassedTests: 3, numFailedTests: 0, testResults: [good] }, 1, { passed: 3, failed: 1 }],
  ['the servers did not start and there is no report', undefined, 1, { passed: 0, failed: 1 }],
])('%s', (name, report, code, score) => {
  const file = join(place, `${name}.json`)
  if (report) writeFileSync(file, JSON.stringify(report))
  expect(scoreOf(file, code)).toEqual(score)
})
