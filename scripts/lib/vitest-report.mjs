import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { root } from './nodes.mjs'

/** Lines of a failure's message that are repeated at the end of a run. */
const LINES_SHOWN = 4

/**
 * Counts of vitest's JSON report, and a text for each failure. A file that did not load has no tests and counts as one
 * failure; so does an exit code that no test explains (an error outside of tests, or no report at all).
 * @param {string} report
 * @param {number} code
 * @returns {{ passed: number, failures: string[], skipped: number }}
 */
export function countsOf(report, code) {
  if (!existsSync(report)) return { passed: 0, failures: [`no report of tests; exit code ${code}`], skipped: 0 }
  const json = JSON.parse(readFileSync(report, 'utf8'))
  const failures = json.testResults.flatMap((/** @type {any} */ file) => {
    const failed = file.assertionResults.filter((/** @type {any} */ test) => test.status === 'failed')
    if (failed.length === 0) return file.status === 'failed' ? [shown(file.name, [file.message])] : []
    return failed.map((/** @type {any} */ test) => shown(`${file.name} > ${test.fullName}`, test.failureMessages))
  })
  if (failures.length === 0 && code !== 0) failures.push(`an error outside of tests; exit code ${code}`)
  return { passed: json.numPassedTests, failures, skipped: json.numPendingTests + json.numTodoTests }
}

/**
 * @param {string} name
 * @param {string[] | undefined} messages
 */
function shown(name, messages) {
  const lines = (messages ?? []).join('\n').split('\n').slice(0, LINES_SHOWN)
  return [`${relative(root, name)}`, ...lines.filter(Boolean)].join('\n  ')
}
