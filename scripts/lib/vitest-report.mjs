import { existsSync, readFileSync } from 'node:fs'

/**
 * Counts of vitest's JSON report. A file that did not load has no tests and counts as one failure; so does an exit code
 * that no test explains (an error outside of tests, or no report at all).
 * @param {string} report
 * @param {number} code
 */
export function countsOf(report, code) {
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 }
  const json = JSON.parse(readFileSync(report, 'utf8'))
  const broken = json.testResults.filter(
    (/** @type {any} */ file) =>
      file.status === 'failed' && file.assertionResults.every((/** @type {any} */ test) => test.status !== 'failed'),
  ).length
  const failed = json.numFailedTests + broken
  return {
    passed: json.numPassedTests,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: json.numPendingTests + json.numTodoTests,
  }
}
