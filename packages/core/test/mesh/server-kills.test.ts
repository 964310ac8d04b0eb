/**
 * A server that is killed again and again while clients in processes of their own write: whatever was acknowledged is
 * there exactly once, and nothing is there that nobody wrote. ATE_KILLS sets how many times.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { defineType } from '../../src/data/entity-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { openIdentity } from '../../src/session/local-identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { machine } from './net-kit.ts'
import { type Child, start } from './process-kit.ts'

const KILLS = Math.min(200, Number(process.env['ATE_KILLS'] ?? 2))
const CLIENTS = 2
/** Processes start slowly where many others run. */
const TIMEOUT_MS: number = 300_000 + KILLS * 30_000
const Mark = defineType<{ of: string }>('mark')

let root = ''
const children = new Set<Child>()

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-kills-'))
})

afterAll(() => {
  for (const child of children) child.process.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

function run(program: string, ...args: readonly string[]): Child {
  const child = start(program, args, join(root, `home-${children.size}`))
  children.add(child)
  return child
}

async function freePort(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { readonly port: number }
  await new Promise((resolve) => server.close(resolve))
  return String(port)
}

test(`a server that is killed ${KILLS} times loses nothing that it acknowledged`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const data = join(root, 'data')
  const port = await freePort()
  const begin = async (): Promise<{ readonly server: Child; readonly url: string; readonly key: string }> => {
    const server = run('server-child', data, port)
    const [url = '', key = ''] = (await server.line((line) => line.startsWith('ws:'))).split(' ')
    return { server, url, key }
  }
  let { server, url, key } = await begin()
  const identity = join(root, 'identity')
  const as = await openIdentity(identity, { create: true })
  const first = await openChain(`${url}/kills`, { as, create: true, serverKey: key }, machine())
  const { id } = first
  await first.close()
  const clients = Array.from({ length: CLIENTS }, (_, i) => run('client-child', `${url}/kills`, key, identity, `c${i}`))
  for (const client of clients) await client.line((line) => line === 'open')
  const random = seededRandom(KILLS)
  const acknowledged = (): string[] => clients.flatMap(({ said }) => said.filter((line) => line.startsWith('ack ')))
  for (let kill = 0; kill < KILLS; kill++) {
    // In the middle of something, each time.
    const before = acknowledged().length
    while (acknowledged().length < before + 16) await sleep(2)
    await sleep(random.below(20))
    await server.kill()
    ;({ server } = await begin())
  }
  for (const client of clients) {
    await client.stop()
    expect(client.said.slice(-12), `${client.process.exitCode}: ${client.said.slice(-12).join('; ')}`).toContain(
      'closed',
    )
  }
  const chain = await openChain(`${url}/kills`, { as, id, serverKey: key }, machine())
  const found: string[] = []
  for await (const { value } of chain.children(Mark)) found.push((value as { readonly of: string }).of)
  expect((await chain.verify()).ok).toBe(true)
  await chain.close()
  await server.stop()
  const there = new Set(found)
  expect(there.size).toBe(found.length)
  for (const line of acknowledged()) expect(there).toContain(line.slice(4))
  const told = new Map(
    clients.flatMap(({ said }) =>
      said.filter((line) => /^(ack|no) /.test(line)).map((line) => [line.split(' ')[1]!, line.split(' ')[2]] as const),
    ),
  )
  for (const mark of found) expect([undefined, 'INDETERMINATE']).toContain(told.get(mark))
  for (const mark of found) expect(told.has(mark)).toBe(true)
})
