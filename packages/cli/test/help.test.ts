/**
 * The help: every command has one, and every line of its examples does what it says.
 * @newest-node-only: runs the TypeScript sources
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { openChain } from '@ate/core'
import type { Command } from 'commander'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wordsOf } from '../src/ledger-repl.ts'
import { program } from '../src/program.ts'
import { ATE, type Machine, newMachine, type Outcome } from './run-ate.ts'

let machine: Machine
let fingerprint: string

beforeAll(async () => {
  machine = newMachine()
  const { folder } = machine
  mkdirSync(join(folder, 'bin'))
  writeFileSync(join(folder, 'bin', 'ate'), `#!/bin/sh\nexec '${process.execPath}' '${ATE}' "$@"\n`)
  chmodSync(join(folder, 'bin', 'ate'), 0o755)
  writeFileSync(
    join(folder, 'server.js'),
    'const { DB_URL, DB_USER, PROD_DB_URL, DB } = process.env; console.log(JSON.stringify({ DB_URL, DB_USER, PROD_DB_URL, DB }))',
  )
  writeFileSync(join(folder, '1.eml'), 'Subject: hi')
  writeFileSync(join(folder, 'app.log'), 'started\n')
  // What a queue stands on is somebody's program: here one that this machine has made.
  ;({ fingerprint } = JSON.parse((await machine.quick(['id', '--json'])).stdout))
  const home = process.env['ATE_HOME']
  process.env['ATE_HOME'] = join(folder, 'home')
  await (await openChain(`file:${join(folder, 'shop')}`)).close()
  process.env['ATE_HOME'] = home
})
afterAll(() => machine.remove())

/** As the help of a command shows them. */
async function examplesOf(...command: string[]): Promise<string[]> {
  const { code, stdout } = await machine.quick([...command, '--help'])
  expect(code).toBe(0)
  const [, shown = ''] = stdout.split('\nExamples:\n')
  return shown
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

/** What a shell makes of it. */
async function inShell(line: string): Promise<Outcome> {
  const { ATE_PASSPHRASE: _, ATE_IDENTITY: _identity, NODE_OPTIONS: _options, ...rest } = process.env
  const PATH = [join(machine.folder, 'bin'), join(process.execPath, '..'), rest['PATH']].join(delimiter)
  const env = { ...rest, PATH, ATE_HOME: join(machine.folder, 'home') }
  const child = spawn('sh', ['-c', line], { cwd: machine.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text: string) => out.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => err.push(text))
  const [code] = await once(child, 'close')
  return { code, stdout: out.join(''), stderr: err.join('') }
}

/** Runs the lines in their order, those that need no shell in the process that stands. What they printed. */
async function run(lines: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const printed = new Map<string, string>()
  for (const line of lines) {
    const { code, stdout, stderr } = /\||=.* ate | -- /.test(line)
      ? await inShell(line)
      : await machine.quick(wordsOf(line).slice(1))
    expect([line, code, stderr]).toEqual([line, 0, ''])
    printed.set(line, stdout)
  }
  return printed
}

describe.skipIf(process.platform === 'win32')('each example runs (needs a shell)', () => {
  it('of the vault', async () => {
    const lines = await examplesOf('vault')
    const [, field, prod, masked, references] = [...(await run(lines)).values()]
    expect(field).toBe('postgres://db/app\n')
    expect(JSON.parse(prod!)).toEqual({ DB_URL: 'postgres://db/app', DB_USER: 'app' })
    expect(masked).not.toContain('postgres')
    expect(JSON.parse(references!)).toEqual({ DB: 'postgres://db/app' })
    expect((await examplesOf('vault', 'run')).length).toBe(3)
    expect(await examplesOf('vault', 'put')).toEqual(lines.slice(0, 1))
  })

  it('of queues', async () => {
    const printed = [...(await run(await examplesOf('queue'))).values()]
    expect(printed.slice(0, 4)).toEqual(['welcome-ann\n', expect.any(String), 'waiting   welcome-ann\n', ''])
    expect(printed[4]).toContain('data      {"to":"ann@example.org"}')
    expect((await examplesOf('queue', 'publish')).length).toBe(2)
    expect((await examplesOf('queue', 'list')).length).toBe(2)
  })

  it('of ledgers', async () => {
    const printed = [...(await run(await examplesOf('ledger'))).values()]
    expect(printed.slice(3, 5)).toEqual(['would be posted\n', 'world  -100.00 USD\nalice  100.00 USD\n'])
    expect(printed[5]!.trim().split('\n').length).toBe(1)
    expect((await examplesOf('ledger', 'transfer')).length).toBe(2)
  })

  it('of archives', async () => {
    const printed = [...(await run(await examplesOf('worm'))).values()]
    expect(printed.at(-1)).toBe('2 sound, 0 not\n')
    expect((await examplesOf('worm', 'put')).length).toBe(2)
  })

  it('of a server', async () => {
    for (const line of await examplesOf('serve')) {
      const words = line.replace(':5000', ':0').replace('FINGERPRINT', fingerprint).split(' ')
      const given = words.slice(0, words.indexOf('ate')).map((word) => word.split('='))
      const env = { ...process.env, ATE_SERVE_URL: 'ws://localhost:0/db', ...Object.fromEntries(given) }
      const child = spawn(process.execPath, [ATE, ...words.slice(words.indexOf('ate') + 1)], {
        cwd: machine.folder,
        env: { ...env, ATE_HOME: join(machine.folder, 'home') },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      let told = ''
      for await (const text of child.stdout.setEncoding('utf8')) {
        told += text
        if (told.includes('openChain(')) child.kill('SIGTERM')
      }
      expect(told).toMatch(/^Serving \.\/served at ws:/)
      expect([line, ...(await closed)]).toEqual([line, 0, null])
    }
  })
})

it('each verb, argument and option says what it is', () => {
  const bare: string[] = []
  const look = (command: Command, path: string): void => {
    if (command.description() === '') bare.push(path)
    for (const argument of command.registeredArguments)
      if (!argument.description) bare.push(`${path} ${argument.name()}`)
    for (const option of command.options) if (option.description === '') bare.push(`${path} ${option.flags}`)
    for (const verb of command.commands) look(verb, `${path} ${verb.name()}`)
  }
  look(program(), 'ate')
  expect(bare).toEqual([])
})
