/** LevelDB by classic-level, every write with `sync: true`. */
import type { Engine, Store } from '../engine.ts'
import { keyOf, load } from './load.ts'

interface Put {
  type: 'put'
  key: string
  value: string
}
interface Level {
  open(): Promise<void>
  close(): Promise<void>
  put(key: string, value: string, options: { sync: boolean }): Promise<void>
  batch(puts: Put[], options: { sync: boolean }): Promise<void>
  get(key: string): Promise<string | undefined>
  getSync(key: string): string | undefined
  getMany(keys: string[]): Promise<(string | undefined)[]>
  values(): { nextv(size: number): Promise<string[]>; close(): Promise<void> }
}
interface Package {
  ClassicLevel: new (folder: string) => Level
}

const SYNC = { sync: true }

export const engine: Engine = {
  name: 'level',
  durability: 'disk',
  note: 'classic-level, sync: true on every write; an update is getMany and one batch, without isolation',
  open: openStore,
}

async function openStore(folder: string): Promise<Store> {
  const { ClassicLevel } = await load<Package>('classic-level')
  let level = new ClassicLevel(folder)
  await level.open()
  let count = 0
  const put = (index: number, value: string): Put => ({ type: 'put', key: keyOf(index), value })
  return {
    create(values) {
      if (values.length === 1) return level.put(keyOf(count++), values[0]!, SYNC)
      return level.batch(
        values.map((value) => put(count++, value)),
        SYNC,
      )
    },
    createEach: (values) => Promise.all(values.map((value) => level.put(keyOf(count++), value, SYNC))),
    async update(first, values) {
      const found = await level.getMany(values.map((_, i) => keyOf(first + i)))
      if (found.includes(undefined)) throw new Error('not found')
      await level.batch(
        values.map((value, i) => put(first + i, value)),
        SYNC,
      )
    },
    get: (index) => level.getSync(keyOf(index)),
    async reopen() {
      await level.close()
      level = new ClassicLevel(folder)
      await level.open()
    },
    async verifyAll() {
      const values = level.values()
      let seen = 0
      for (let some = await values.nextv(1_000); some.length > 0; some = await values.nextv(1_000)) seen += some.length
      await values.close()
      return seen
    },
    close: () => level.close(),
  }
}
