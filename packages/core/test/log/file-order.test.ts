/**
 * The order in which a writer changes the disk, step by step: what is durable before what. Each is what a crash between two
 * of them is survived by (file-power.test.ts cuts there); here a step that is missing, or comes at another time, is seen
 * at once.
 */
import { describe, expect, it } from 'vitest'
import type { Compaction } from '../../src/log/engine.ts'
import type { FileSystem, OpenFile } from '../../src/log/file-system.ts'
import { Trial } from './trial.ts'

/** Notes what changes the disk: `write a`, `sync a`, `rename a b`. Writes behind one another are one. */
function tracing(fs: FileSystem, steps: string[]): FileSystem {
  const note = (step: string): void => {
    if (steps.at(-1) !== step) steps.push(step)
  }
  const folder = (path: string): string => (path === '' ? '.' : path)
  const traced = (file: OpenFile, path: string): OpenFile => ({
    ...file,
    write: (parts, at) => {
      note(`write ${path}`)
      return file.write(parts, at)
    },
    truncate: (size) => {
      note(`cut ${path}`)
      file.truncate(size)
    },
    sync: () => {
      note(`sync ${path}`)
      return file.sync()
    },
    syncNow: () => {
      note(`sync ${path}`)
      file.syncNow()
    },
  })
  return {
    open: (path, mode) => {
      const file = fs.open(path, mode)
      if (mode === 'create') note(`create ${path}`)
      return traced(file, path)
    },
    list: (path) => fs.list(path),
    lock: () => fs.lock(),
    makeFolder: (path) => {
      fs.makeFolder(path)
      note(`folder ${folder(path)}`)
    },
    rename: (from, to) => {
      fs.rename(from, to)
      note(`rename ${from} ${to}`)
    },
    remove: (path) => {
      fs.remove(path)
      note(`remove ${path}`)
    },
    removeFolder: (path) => {
      fs.removeFolder(path)
      note(`remove ${folder(path)}`)
    },
    syncFolder: (path) => {
      note(`sync ${folder(path)}`)
      fs.syncFolder(path)
    },
  }
}

/** A writer whose steps are noted, and what takes them. */
async function writer(segmentBytes = 60_000): Promise<{ readonly trial: Trial; readonly taken: () => string[] }> {
  const steps: string[] = []
  const wrap = (fs: FileSystem): FileSystem => tracing(fs, steps)
  // The name of a key is 32 equal bytes: `ring/1` stands for 01 01 01...
  const taken = (): string[] => steps.splice(0).map((step) => step.replaceAll(/(?:0(\d)){32}/g, '$1'))
  const trial = new Trial(1, { zeroFillBytes: 0, segmentBytes, wrap })
  await trial.open()
  return { trial, taken }
}

const MARKED = ['write MANIFEST', 'sync MANIFEST']
const [FIRST, SECOND] = ['seg-000000.ate', 'seg-000001.ate']

describe('the log', () => {
  it('is made: MANIFEST has its name when its bytes are there', async () => {
    const { trial, taken } = await writer()
    const made = [
      ...['create MANIFEST.new', 'write MANIFEST.new', 'sync MANIFEST.new'],
      ...['rename MANIFEST.new MANIFEST', 'sync .'],
    ]
    expect(taken()).toEqual(['folder .', ...made])
    await trial.close()
    // A try that a crash ended left this.
    trial.fs.drop('MANIFEST')
    trial.fs.open('MANIFEST.new', 'create').close()
    taken()
    await trial.open()
    expect(taken()).toEqual(['remove MANIFEST.new', ...made])
    await trial.close()
  })

  it('begins a segment: its file, its name, then MANIFEST, then the first frame', async () => {
    const { trial, taken } = await writer(5200)
    taken()
    const begun = (name: string): string[] => [
      ...[`create ${name}`, `write ${name}`, `sync ${name}`, 'sync .', ...MARKED],
      ...[`write ${name}`, `sync ${name}`],
    ]
    await trial.append([100])
    expect(taken()).toEqual(begun(FIRST))
    await trial.append([100], 'os')
    expect(taken()).toEqual([`write ${FIRST}`])
    await trial.append([100])
    expect(taken()).toEqual([`write ${FIRST}`, `sync ${FIRST}`])
    await trial.append([700])
    expect(taken()).toEqual([`write ${FIRST}`, `cut ${FIRST}`, `sync ${FIRST}`, ...begun(SECOND)])
    await trial.append([10], 'os')
    taken()
    await trial.append([])
    expect(taken()).toEqual([`sync ${SECOND}`])
    await trial.append([])
    expect(taken()).toEqual([])
    await trial.close()
  })

  it('is closed: all frames, then the mark that they are there', async () => {
    const { trial, taken } = await writer()
    await trial.append([100])
    await trial.append([100], 'os')
    taken()
    await trial.close()
    expect(taken()).toEqual([`sync ${FIRST}`, ...MARKED])
    await trial.open()
    expect(taken()).toEqual(MARKED)
    await trial.close()
    expect(taken()).toEqual([])
  })

  it('is opened after a kill: what no mark covers is written again', async () => {
    const { trial, taken } = await writer()
    await trial.append([100])
    await trial.append([100], 'os')
    await trial.kill()
    taken()
    await trial.open()
    expect(taken()).toEqual([`write ${FIRST}`, `sync ${FIRST}`, ...MARKED])
    await trial.close()
  })

  it('is opened with a torn tail: kept aside under a durable name before it is cut', async () => {
    const { trial, taken } = await writer()
    await trial.append([100])
    await trial.kill()
    const size = trial.fs.peek(FIRST).length
    const torn = `quarantine/${FIRST}-${size}-epoch-1.torn`
    const kept = [`write ${torn}`, `sync ${torn}`, 'sync quarantine', `cut ${FIRST}`, `sync ${FIRST}`]
    trial.fs.poke(FIRST, (bytes) => new Uint8Array([...bytes, 5, 5, 5]))
    // An earlier try came as far as the folder and a longer copy.
    trial.fs.makeFolder('quarantine')
    trial.fs.open(torn, 'create').write([new Uint8Array(9)], 0)
    taken()
    await trial.open()
    expect(taken()).toEqual(['sync .', `cut ${torn}`, ...kept, `write ${FIRST}`, `sync ${FIRST}`, ...MARKED])
    expect(trial.fs.peek(torn)).toEqual(new Uint8Array([5, 5, 5]))
    await trial.close()
  })

  it('is opened with what was begun: it is gone before MANIFEST counts anew', async () => {
    const { trial, taken } = await writer()
    await trial.append([100])
    await trial.close()
    for (const name of [SECOND, `${FIRST}.new`, 'SNAPSHOT.new']) trial.fs.open(name, 'create').close()
    taken()
    await trial.open()
    expect(taken()).toEqual([
      ...[`remove ${SECOND}`, 'sync .', `remove ${FIRST}.new`, 'sync .', ...MARKED, 'remove SNAPSHOT.new'],
    ])
    await trial.close()
  })

  it('is given a standing in both slots, one after the other', async () => {
    const { trial, taken } = await writer()
    taken()
    await trial.log!.setStanding!({ state: 'copy', note: '' })
    expect(taken()).toEqual([...MARKED, ...MARKED])
    await trial.close()
  })
})

describe('a long key of the ring', () => {
  /** Short ones stand in slots: ring-slots.test.ts. */
  const putLong = (trial: Trial, name: number): Promise<void> =>
    trial.log!.ring.put(new Uint8Array(32).fill(name), new Uint8Array(2000).fill(7))
  const put = (name: number, end: 'key' | 'next'): string[] => [
    ...[`create ring/${name}.tmp`, `write ring/${name}.tmp`, `sync ring/${name}.tmp`],
    ...[`rename ring/${name}.tmp ring/${name}.${end}`, 'sync ring'],
  ]

  it('puts a key under a durable name, and overwrites the one that it replaces', async () => {
    const { trial, taken } = await writer()
    taken()
    await putLong(trial, 1)
    expect(taken()).toEqual(['folder ring', 'sync .', ...put(1, 'key')])
    await putLong(trial, 1)
    expect(taken()).toEqual([
      ...put(1, 'next'),
      ...['write ring/1.key', 'sync ring/1.key', 'rename ring/1.next ring/1.key', 'sync ring'],
    ])
    await trial.close()
    taken()
    await trial.open()
    // The names of what a process that was killed has made, MANIFEST and a key: seen from here on, so they have to stay.
    expect(taken()).toEqual(['sync .', ...MARKED, 'sync ring'])
    await putLong(trial, 2)
    expect(taken()).toEqual(['sync .', ...put(2, 'key')])
    await trial.close()
  })

  it('erases a key: gone first, then overwritten, then removed', async () => {
    const { trial, taken } = await writer()
    await putLong(trial, 1)
    taken()
    await trial.log!.ring.erase(new Uint8Array(32).fill(1))
    expect(taken()).toEqual([
      ...['rename ring/1.key ring/1.gone', 'sync ring', 'write ring/1.gone', 'sync ring/1.gone'],
      ...['remove ring/1.gone', 'sync ring'],
    ])
    await trial.log!.ring.erase(new Uint8Array(32).fill(1))
    expect(taken()).toEqual([])
    await trial.close()
  })

  it('ends what was interrupted before anything else is done with that name', async () => {
    for (const [left, end] of [
      ['next', ['write ring/1.key', 'sync ring/1.key', 'rename ring/1.next ring/1.key', 'sync ring']],
      ['gone', ['write ring/1.gone', 'sync ring/1.gone', 'remove ring/1.gone', 'sync ring']],
      ['tmp', ['write ring/1.tmp', 'sync ring/1.tmp', 'remove ring/1.tmp', 'sync ring']],
    ] as const) {
      const { trial, taken } = await writer()
      await putLong(trial, 1)
      const base = `ring/${'01'.repeat(32)}`
      trial.fs.copyTo(trial.fs, `${base}.key`, `${base}.${left}`)
      taken()
      // In the life of one writer, by its next put; and by the next writer.
      if (left !== 'gone') {
        await putLong(trial, 1)
        expect(taken().slice(0, end.length)).toEqual(end)
        trial.fs.copyTo(trial.fs, `${base}.key`, `${base}.${left}`)
      }
      await trial.close()
      taken()
      await trial.open()
      expect(taken().slice(1 + MARKED.length)).toEqual(end)
      await trial.close()
    }
  })
})

describe('beside it', () => {
  it('a snapshot has its name when its bytes are there', async () => {
    const { trial, taken } = await writer()
    await trial.snapshot(10)
    trial.fs.open('SNAPSHOT.new', 'create').close()
    taken()
    await trial.snapshot(3000)
    expect(taken()).toEqual([
      ...['remove SNAPSHOT.new', 'create SNAPSHOT.new', 'write SNAPSHOT.new', 'sync SNAPSHOT.new'],
      ...['rename SNAPSHOT.new SNAPSHOT', 'sync .'],
    ])
    await trial.close()
  })

  it('large files are synced on the way, so that a sync of the log never waits for all of one', async () => {
    const MIB = 1024 * 1024
    const { trial, taken } = await writer(16 * MIB)
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (const mib of [5, 3, 1]) yield new Uint8Array(mib * MIB)
    }
    await trial.log!.snapshot!.write(parts())
    const end = ['write SNAPSHOT.new', 'sync SNAPSHOT.new']
    expect(taken().slice(-6)).toEqual([...end, ...end, 'rename SNAPSHOT.new SNAPSHOT', 'sync .'])
    // Frames of 256 KiB and more: the sixth is the last, with nothing left to write behind it.
    const log = trial.log!
    for (let seq = 0; seq < 6; seq++) {
      const record = { seq, hash: new Uint8Array(32).fill(seq), bytes: new Uint8Array(900_000) }
      await log.append([record], { after: log.head(), durability: 'os', load: 'alone' })
    }
    let synced = 0
    const settle = async (): Promise<void> => {
      synced = taken().filter((step) => step === `sync ${FIRST}.new`).length
    }
    const compaction: Compaction = {
      begin: async () => undefined,
      reclaimable: ({ seq, bytes }) => (seq === 0 ? bytes.length / 2 : 0),
      rewrite: ({ seq, bytes }) => (seq === 0 ? bytes.subarray(0, bytes.length / 2) : undefined),
      settle,
      pause: async () => undefined,
      signal: undefined,
    }
    expect(await log.compact!(compaction)).toMatchObject({ records: 1 })
    expect(synced).toBe(2)
    await log.close()
  })

  it('a segment is written anew, settled, and only then takes the name', async () => {
    const { trial, taken } = await writer()
    await trial.append([20_000, 100])
    taken()
    const settle = async (): Promise<void> => expect(taken().at(-1)).toBe(`sync ${FIRST}.new`)
    const long = (size: number): boolean => size > 10_000
    const compaction: Compaction = {
      begin: async () => undefined,
      reclaimable: ({ bytes }) => (long(bytes.length) ? bytes.length - 10 : 0),
      rewrite: ({ bytes }) => (long(bytes.length) ? bytes.subarray(0, 10) : undefined),
      settle,
      pause: async () => undefined,
      signal: undefined,
    }
    trial.fs.open(`${FIRST}.new`, 'create').write([new Uint8Array(50_000)], 0)
    expect(await trial.log!.compact!(compaction)).toMatchObject({ records: 1, inUse: 0 })
    expect(taken()).toEqual([`rename ${FIRST}.new ${FIRST}`])
    expect(await trial.log!.scrub()).toEqual([])
    await trial.log!.close()
  })

  it('segments are merged: the new file, its name, and only then the others go', async () => {
    const { trial, taken } = await writer()
    const compaction: Compaction = {
      begin: async () => undefined,
      reclaimable: ({ bytes }) => (bytes.length > 10_000 ? bytes.length - 10 : 0),
      rewrite: ({ bytes }) => (bytes.length > 10_000 ? bytes.subarray(0, 10) : undefined),
      settle: async () => undefined,
      pause: async () => undefined,
      signal: undefined,
    }
    for (let i = 0; i < 3; i++) {
      if (i > 0) await trial.log!.compact!(compaction)
      await trial.append([20_000, 100])
    }
    taken()
    expect(await trial.log!.compact!(compaction)).toMatchObject({ records: 1 })
    const third = 'seg-000002.ate'
    expect(taken()).toEqual([
      ...[`write ${third}`, `cut ${third}`, `sync ${third}`],
      ...[`create ${third}.new`, `write ${third}.new`, `sync ${third}.new`, `rename ${third}.new ${third}`],
      ...[`create ${FIRST}.new`, `write ${FIRST}.new`, `sync ${FIRST}.new`, `rename ${FIRST}.new ${FIRST}`],
      ...['sync .', `remove ${SECOND}`],
    ])
    await trial.log!.close()
    // What a process that died has left of it.
    trial.fs.open(SECOND, 'create').close()
    taken()
    await trial.open()
    expect(taken()).toEqual(['sync .', `remove ${SECOND}`, `write ${third}`, `sync ${third}`, ...MARKED])
    await trial.log!.close()
  })
})
