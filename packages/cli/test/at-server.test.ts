/**
 * Commands at a server whose key nothing tells: as to any machine but this one. An address of this machine that is written as
 * one of IPv6 stands for it, since no client takes it for its own.
 *
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { createIdentity, openChain, saveIdentity } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { currency, ledger, money, USD } from '@ate/ledger'
import { purse } from '@ate/ledger/coin'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ATE, type Machine, newMachine } from './run-ate.ts'

const GOLD = currency('GOLD', 3)
let server: Served
let machine: Machine
let elsewhere: string
let me: string

beforeAll(async () => {
  machine = newMachine()
  const as = await createIdentity()
  me = as.publicId
  await saveIdentity(as, join(machine.folder, 'me.id'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: join(machine.folder, 'served') })
  elsewhere = `${server.url.replace('127.0.0.1', '[::ffff:127.0.0.1]')}/shop`
  const chain = await openChain(`${server.url}/shop`, { as, serverKey: server.fingerprint, create: true })
  const bank = ledger(chain)
  for (const name of ['world', 'alice']) await bank.account(name, { currency: USD, floor: 'none' })
  await bank.transfer({ from: 'world', to: 'alice', amount: money(USD, '12.50') })
  await purse(chain, GOLD).mint(money(GOLD, '1.000'), as)
  await chain.close()
})
afterAll(async () => {
  await server.close()
  machine.remove()
})

const balance = ['ledger', 'balance', 'PLACE', 'alice', '--as', 'me.id'] as const
const at = (place: string, words: readonly string[], ...more: string[]): string[] => [
  ...words.map((word) => (word === 'PLACE' ? place : word)),
  ...more,
]
/** State of a machine that has heard of no server. */
let home: { ATE_HOME: string }
let homes = 0
beforeEach(() => {
  home = { ATE_HOME: join(machine.folder, `home-${++homes}`) }
})

it('the key of a server is given once', async () => {
  const unknown = await machine.run(at(elsewhere, balance), home)
  expect(unknown).toMatchObject({ code: 1, stdout: '' })
  expect(unknown.stderr).toContain('SERVER_UNKNOWN')
  expect(unknown.stderr).toContain('--server-key KEY')
  const told = await machine.run(at(elsewhere, balance, '--server-key', server.fingerprint), home)
  // The chain is of somebody else: the machine has not been told that it is the one.
  const known = await machine.run(at(elsewhere, balance), home)
  for (const { code, stdout, stderr } of [told, known])
    expect([code, stdout, stderr]).toEqual([0, 'alice  12.50 USD\n', ''])
})

it('or stands in the environment', async () => {
  const env = { ...home, ATE_SERVER_KEY: server.fingerprint }
  expect((await machine.run(at(elsewhere, balance), env)).stdout).toBe('alice  12.50 USD\n')
  const other = { ...home, ATE_SERVER_KEY: 'x'.repeat(52) }
  expect((await machine.run(at(elsewhere, balance), other)).code).toBe(1)
})

it('every group of commands takes it', async () => {
  const places = [
    ['queue', 'ls', 'PLACE'],
    ['bus', 'topics', 'PLACE'],
    ['cache', 'ls', 'PLACE'],
    ['stats', 'PLACE'],
    ['doctor', 'PLACE'],
  ]
  const found = [
    ['vault', 'ls', '--at', 'PLACE'],
    ['worm', 'ls', '--at', 'PLACE'],
    ['coin', 'supply', 'PLACE', '--currency', 'GOLD', '--scale', '3'],
  ]
  for (const words of [...places, ...found, ['dump', 'PLACE', '--limit', '1'], ['person', 'PLACE']]) {
    home = { ATE_HOME: join(machine.folder, `home-${++homes}`) }
    const { code, stderr } = await machine.run(
      at(elsewhere, words, '--as', 'me.id', '--server-key', server.fingerprint),
      home,
    )
    expect([words, code, stderr]).toEqual([words, 0, expect.not.stringContaining('SERVER_')])
  }
})

it('what is not there is not looked for in folders', async () => {
  const { code, stderr } = await machine.run(['vault', 'ls', '--at', `${server.url}/nothing`, '--as', 'me.id'])
  expect(code).toBe(1)
  expect(stderr).toContain('CHAIN_NOT_FOUND')
  expect(stderr).toContain('--to-server')
  expect(stderr).not.toContain('ate ls')
  const secret = await machine.run(['vault', 'get', 'prod/db', '--at', `${server.url}/shop`, '--as', 'me.id'])
  expect(secret.stderr).toMatch(/^NOT_FOUND: there is no vault on this chain yet/)
})

it('a public id may stand in a file, as `ate id` prints it', async () => {
  const printed = await machine.run(['id', '--show', 'me.id'])
  writeFileSync(join(machine.folder, 'me.pub'), printed.stdout)
  const mint = (to: string): string[] => [
    'coin',
    'mint',
    `${server.url}/shop`,
    '2',
    to,
    '--currency',
    'GOLD',
    '--scale',
    '3',
    '--as',
    'me.id',
  ]
  for (const to of ['me.pub', me]) {
    const { code, stdout } = await machine.run(mint(to))
    expect([code, stdout]).toEqual([0, expect.stringContaining('2.000 GOLD')])
  }
  for (const to of ['me.id', 'nobody']) {
    const { code, stderr } = await machine.run(mint(to))
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^BAD_PUBLIC_ID: .*ate id --show FILE > me\.pub/)])
  }
})

it('a trial balance has the digits of its currency', async () => {
  const trial = ['ledger', 'trial', `${server.url}/shop`, '--as', 'me.id']
  expect((await machine.run(trial)).stdout).toBe('USD  debits 12.50  credits 12.50  difference 0.00\n')
  expect(JSON.parse((await machine.run([...trial, '--json'])).stdout)).toEqual({
    currency: 'USD',
    debits: '12.50',
    credits: '12.50',
  })
})

it('stdin may come in parts', async () => {
  mkdirSync(join(machine.folder, 'home'), { recursive: true })
  const args = ['ledger', 'load', `${server.url}/shop`, '-', '--format', 'jsonl', '--as', 'me.id']
  const child = spawn(process.execPath, [ATE, ...args], {
    cwd: machine.folder,
    env: { ...process.env, ATE_HOME: join(machine.folder, 'home') },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const line = '{"id":"slow","from":"world","to":"alice","amount":"1.00","currency":"USD"}\n'
  let stderr = ''
  let stdout = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'close')
  // More than waits in between: when it is gone, most of it was read, and whoever does not wait finds nothing behind it.
  const lines = Buffer.alloc(4 << 20, '\n')
  await new Promise<void>((resolve) => child.stdin.write(lines, () => resolve()))
  await (await fetch(new URL('/health', server.url.replace('ws:', 'http:')))).json()
  child.stdin.end(line)
  const [code] = await ended
  expect([code, stdout, stderr]).toEqual([0, '1 posted, 0 were posted before, 0 refused\n', ''])
})
