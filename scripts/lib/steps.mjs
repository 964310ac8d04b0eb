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
 * Prints the sum of a script, hands it to `.ci/run` (a line "passed failed" in the file named by ATE_COUNTS), and sets
 * the exit code.
 * @param {string} what
 * @param {{ passed: number, failed: number }} counts
 * @param {number} start a value of performance.now()
 */
export function finish(what, counts, start) {
  console.log(`\n${what}: ${counts.passed} passed, ${counts.failed} failed (${secondsSince(start)})`)
  const file = process.env.ATE_COUNTS
  if (file) appendFileSync(file, `${counts.passed} ${counts.failed}\n`)
  process.exitCode = counts.failed === 0 ? 0 : 1
}
