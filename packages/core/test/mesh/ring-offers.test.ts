/** What a server does with chains that were moved from it, while somebody has one of them open: nothing goes wrong unheard. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parsePlace } from '../../src/data/place.ts'
import { openTarget } from '../../src/data/target-place.ts'
import type { LogEngine } from '../../src/log/engine.ts'
import { parseChainName } from '../../src/mesh/chain-name.ts'
import { ownerOf } from '../../src/mesh/ring.ts'
import { ServedRing } from '../../src/node/served-ring.ts'
import { openServerFolder, type ServerFolder } from '../../src/node/server-folder.ts'
import { machine } from './net-kit.ts'

const NODES = ['ws://127.0.0.1:1/db', 'ws://127.0.0.1:2/db'] as const
const WAIT = { timeout: 20_000, interval: 5 } as const
let root = ''

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'ate-offers-'))
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** A server of a ring without its sockets, and a chain that was moved from it with a key left behind, open still. */
async function moved(name: string): Promise<{
  readonly ring: ServedRing
  readonly engine: LogEngine
  readonly warned: unknown[]
  readonly folder: ServerFolder
}> {
  const warned: unknown[] = []
  const platform = Object.create(machine(), { warn: { value: (error: unknown) => void warned.push(error) } })
  const folder = await openServerFolder(join(root, name), {}, platform)
  const names = Array.from({ length: 99 }, (_, i) => `chain-${i}`)
  const chain = parseChainName(names.find((one) => ownerOf(platform.crypto, NODES, one) === NODES[1])!)
  const engine = await openTarget(`file:${folder.chainPath(chain)}`, { resume: 'copy' }, platform)
  await engine.ring.put(new Uint8Array(32).fill(9), new Uint8Array([1]))
  await engine.setStanding({ state: 'moved', note: NODES[1] })
  const ring = new ServedRing({
    platform,
    folder,
    ring: { nodes: NODES, self: NODES[0], ca: undefined },
    isOpen: () => false,
    adopted: async () => {},
    failed: (_, error) => {
      throw error
    },
  })
  return { ring, engine, warned, folder }
}

it('a key that was left behind goes once the chain is closed, and until then nothing fails', async () => {
  const { ring, engine, warned, folder } = await moved('left')
  ring.start(1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const kept: Uint8Array[] = []
  for await (const key of engine.ring.names()) kept.push(key)
  expect(kept).toHaveLength(1)
  await engine.close()
  const place = `file:${folder.chainPath((await folder.chains())[0]!)}`
  const names = async (): Promise<number> => {
    const options = { standings: ['moved'], readOnly: true } as const
    const reader = await parsePlace(place, options, machine()).open({ create: false, label: undefined })
    let count = 0
    for await (const _ of reader.ring.names()) count++
    await reader.close()
    return count
  }
  await expect.poll(names, WAIT).toBe(0)
  await ring.close()
  expect(warned).toEqual([])
  await folder.close()
})

it('what fails while chains are offered is told at once to who runs the server, and tried again', async () => {
  const { ring, engine, warned, folder } = await moved('told')
  await engine.close()
  let failures = 0
  const { chains } = folder
  Object.assign(folder, {
    chains: async () => {
      if (failures++ < 2) throw new Error('no such folder')
      return chains.call(folder)
    },
  })
  ring.start(1)
  await expect.poll(() => failures, WAIT).toBeGreaterThan(2)
  expect(warned).toEqual([new Error('no such folder'), new Error('no such folder')])
  await ring.close()
  await folder.close()
})
