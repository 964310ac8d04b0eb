/** Hypercore 10 as it ships: signed Merkle log, nothing encrypted, and no fsync anywhere, so its class is `os`. */
import { Buffer } from 'node:buffer'
import { fdatasync } from 'node:fs'
import { promisify } from 'node:util'
import type { Engine, Store } from '../engine.ts'
import { loadCommonJs } from './load.ts'

interface File {
  fd: number
}
interface Hypercore {
  length: number
  ready(): Promise<void>
  append(blocks: Buffer | Buffer[]): Promise<unknown>
  get(index: number): Promise<Buffer>
  core: { blocks: { storage: File }; oplog: { storage: File }; audit(): Promise<{ tree: number; blocks: number }> }
  close(): Promise<void>
}

export const engine: Engine = {
  name: 'hypercore',
  durability: 'os',
  note: 'hypercore 10 as it ships: no fsync, nothing encrypted; no updates; checks its Merkle tree, not signatures',
  open: (folder) => openStore(folder, async () => {}),
}

const syncFile = promisify(fdatasync)

export const synced: Engine = {
  name: 'hypercore+sync',
  durability: 'disk',
  note: 'hypercore 10 with an fdatasync of its data and oplog files added by this bench after each append',
  open: (folder) =>
    openStore(folder, async ({ core }) => {
      await Promise.all([syncFile(core.blocks.storage.fd), syncFile(core.oplog.storage.fd)])
    }),
}

async function openStore(folder: string, sync: (core: Hypercore) => Promise<void>): Promise<Store> {
  const Hypercore = loadCommonJs<new (folder: string) => Hypercore>('hypercore')
  let core = new Hypercore(folder)
  await core.ready()
  return {
    async create(values) {
      await core.append(values.map((value) => Buffer.from(value, 'latin1')))
      await sync(core)
    },
    async createEach(values) {
      await Promise.all(values.map((value) => core.append(Buffer.from(value, 'latin1'))))
      await sync(core)
    },
    get: (index) => core.get(index),
    async reopen() {
      await core.close()
      core = new Hypercore(folder)
      await core.ready()
    },
    async verifyAll() {
      const { tree, blocks } = await core.core.audit()
      if (tree + blocks > 0) throw new Error(`hypercore repaired ${tree} tree nodes and ${blocks} blocks`)
      return core.length
    },
    close: () => core.close(),
  }
}
