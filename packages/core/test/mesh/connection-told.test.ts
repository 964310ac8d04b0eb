/** What an observer hears of the connection, and a machine that says when its network is back. */
import { expect, it } from 'vitest'
import type { Observation } from '../../src/chain/observation.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import type { Platform } from '../../src/session/platform.ts'
import { machine, someone, startServer } from './net-kit.ts'

const WAIT = { timeout: 20_000, interval: 5 } as const

/** A machine on which no time passes, so that nothing but its network wakes who waits; and what brings that back. */
function still(): { readonly platform: Platform; readonly comeBack: () => void; readonly waiting: Set<() => void> } {
  const base = machine()
  const waiting = new Set<() => void>()
  const timers = { ...base.environment.timers, start: () => ({ cancel: () => undefined }) }
  const platform = Object.create(base, {
    environment: { value: { ...base.environment, timers } },
    whenOnline: {
      value: (run: () => void) => {
        waiting.add(run)
        return { cancel: () => waiting.delete(run) }
      },
    },
  }) as Platform
  return { platform, waiting, comeBack: () => [...waiting].forEach((run) => void run()) }
}

it('connects again when the machine says that its network is back, and tells of both', async () => {
  await using server = await startServer()
  const { platform, waiting, comeBack } = still()
  const seen: string[] = []
  const observe = (one: Observation): void => {
    if (one.kind === 'connection') seen.push(`${one.state}${one.code ? ` ${one.code}` : ''}`)
  }
  const options = { as: someone(), create: true, serverKey: server.identity, observe }
  const chain = await openChain(`${server.url}/notes`, options, platform)
  await expect.poll(() => seen, WAIT).toEqual(['online'])
  for (const connection of server.connections) connection.close()
  await expect.poll(() => seen.length, WAIT).toBe(2)
  expect(seen[1]).toMatch(/^offline /)
  expect(waiting.size).toBe(1)
  comeBack()
  await expect.poll(() => seen.length, WAIT).toBe(3)
  expect(seen[2]).toBe('online')
  expect(waiting.size).toBe(0)
  await chain.close()
})

it('listens no more to the network once the chain is closed', async () => {
  await using server = await startServer()
  const { platform, waiting } = still()
  const options = { as: someone(), create: true, serverKey: server.identity }
  const chain = await openChain(`${server.url}/notes`, options, platform)
  for (const connection of server.connections) connection.close()
  await expect.poll(() => waiting.size, WAIT).toBe(1)
  await chain.close()
  expect(waiting.size).toBe(0)
})
