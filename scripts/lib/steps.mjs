/**
 * Runs programs as named steps: one line each with its seconds, and the counts that `.ci/run` adds up.
 */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import process from 'node:process'
import { root } from './nodes.mjs'

/** @param {number} start a value of performance.now() */
export function secondsSince(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}

/**
 * Runs a program to its end. Its output goes to the terminal, or with `quiet` comes back as one text.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean, timeoutMs?: number }} [options]
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function run(program, args, options = {}) {
  return new Promise((done) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: options.env ?? process.env,
      stdio: options.quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
      timeout: options.timeoutMs,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    child.on('error', (error) => done({ code: 1, stdout, stderr: stderr + String(error) }))
    child.on('close', (code, signal) => {
      done({ code: code ?? 1, stdout, stderr: signal ? `${stderr}\nkilled by ${signal}` : stderr })
    })
  })
}

/**
 * npm, as the one that runs this script.
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 */
export function npm(args, cwd, env) {
  const cli = process.env.npm_execpath
  return cli?.endsWith('.js')
    ? run(process.execPath, [cli, ...args], { cwd, env, quiet: true })
    : run('npm', args, { cwd, env, quiet: true })
}

/**
 * What a script counts; each failure by a text that says which and why.
 * @typedef {{ passed: number, failures: string[] }} Counts
 */

/**
 * Does the work of each item, up to `width` at a time, and gives what came out in the order of the items.
 * @template Item, Result
 * @param {readonly Item[]} items
 * @param {number} width
 * @param {(item: Item) => Promise<Result>} work
 * @returns {Promise<Result[]>}
 */
export async function eachAtOnce(items, width, work) {
  /** @type {Result[]} */
  const results = []
  const left = items.entries()
  const worker = async () => {
    for (const [at, item] of left) results[at] = await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}

/**
 * Prints what failed once more and the sum of a script, hands both to `.ci/run` (in the file named by ATE_COUNTS: a line
 * "passed failed", then the lines of what failed behind "0 0"), and sets the exit code.
 * @param {string} what
 * @param {Counts} counts
 * @param {number} start a value of performance.now()
 */
export function finish(what, { passed, failures }, start) {
  if (failures.length > 0) console.log(`\nFailed:\n${failures.join('\n')}`)
  console.log(`\n${what}: ${passed} passed, ${failures.length} failed (${secondsSince(start)})`)
  const file = process.env.ATE_COUNTS
  const repeated = failures.flatMap((failure) => failure.split('\n')).map((line) => `0 0 ${line}\n`)
  if (file) appendFileSync(file, `${passed} ${failures.length}\n${repeated.join('')}`)
  process.exitCode = failures.length === 0 ? 0 : 1
}
