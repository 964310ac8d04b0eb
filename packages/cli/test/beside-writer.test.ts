/**
 * Every command that looks, beside a process that writes hard, over segments that are sealed and begun meanwhile.
 * @newest-node-only: runs the TypeScript sources
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createIdentity, saveIdentity, verifyPlace } from '@ate/core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Machine, newMachine } from './run-ate.ts'

/** How often each command is run; more in the long tests. */
const RUNS = Number(process.env['ATE_BESIDE_RUNS'] ?? 1)

let machine: Machine
let writer: ChildProcess
let chainId = ''
let segments = 1

/** Resolves when the writer has begun `count` more segments. */
let onSegment: (() => void) | undefined

beforeAll(async () => {
  machine = newMachine()
  await saveIdentity(await createIdentity(), join(machine.folder, 'alice.id'))
  const script = fileURLToPath(new URL('../../core/test/data/hard-writer.ts', import.meta.url))
  const command = ['-C', '@ate/source', script, join(machine.folder, 'busy'), join(machine.folder, 'alice.id')]
  const env = { ...process.env, ATE_HOME: join(machine.folder, 'home'), NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' }
  writer = spawn(process.execPath, command, { env, stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise<void>((opened) => {
    createInterface({ input: writer.stdout! }).on('line', (line) => {
      if (line.startsWith('open ')) {
        chainId = line.slice(5)
        opened()
      } else {
        segments = Number(line)
        onSegment?.()
      }
    })
  })
}, 120_000)

afterAll(() => {
  writer.kill('SIGKILL')
  machine.remove()
})

async function overARotation(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const before = segments
  const outcome = await machine.run(args)
  if (segments === before) await new Promise<void>((begun) => (onSegment = begun))
  return outcome
}

it.each([
  ['verify', ['verify', 'busy'], /^ok: \d+ records/],
  ['dump', ['dump', 'busy', '--as', 'alice.id', '--from', '1'], /^#1 commit /m],
  ['ls', ['ls'], /it is there/],
  ['stats', ['stats', 'busy', '--as', 'alice.id'], /^records {5}\d{2,}/m],
  ['doctor', ['doctor', 'busy', '--as', 'alice.id'], /^ok: chain /],
])(
  'ate %s',
  async (_, args, expected) => {
    for (let run = 0; run < RUNS; run++) {
      const { code, stdout, stderr } = await overARotation(args)
      expect({ code, stderr, stdout: code === 0 ? '' : stdout.slice(0, 2000) }).toEqual({
        code: 0,
        stderr: '',
        stdout: '',
      })
      expect(stdout).toMatch(expected)
    }
  },
  300_000,
)

it('and the chain is whole when the writer has ended', async () => {
  const ended = new Promise((resolve) => writer.once('exit', resolve))
  writer.stdin!.end()
  expect(await ended).toBe(0)
  expect(segments).toBeGreaterThan(5)
  const report = await verifyPlace(`file:${join(machine.folder, 'busy')}`, { id: chainId })
  expect(report).toMatchObject({ ok: true, problems: [], chain: chainId, voids: 0 })
}, 300_000)
