/** A log judged without being opened as a chain: damaged, altered, rolled back, or another one. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { createIdentity, defineType, knownPlaces, machineIdentity, openChain, verifyPlace } from '../../src/index.ts'
import type { LogEngine, LogProblem, LogRecord } from '../../src/log/engine.ts'
import { ForwardingEngine } from '../../src/log/forwarding-engine.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'

const Thing = defineType<unknown>('thing')
const scratch = mkdtempSync(join(tmpdir(), 'ate-verify-place-'))
const pathOf = (name: string): string => join(scratch, name)
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

let chainId: string
beforeAll(async () => {
  const chain = await openChain(`file:${pathOf('good')}`, { as: await createIdentity() })
  chainId = chain.id
  for (let i = 0; i < 5; i++) await chain.transact((tx) => tx.create(Thing, i))
  await chain.close()
})

/** A copy with one byte of one file changed. */
function changed(name: string, file: string, offset: number): string {
  cpSync(pathOf('good'), pathOf(name), { recursive: true, filter: (path) => !path.endsWith('LOCK') })
  const bytes = readFileSync(join(pathOf(name), file))
  bytes[offset]! ^= 1
  writeFileSync(join(pathOf(name), file), bytes)
  return `file:${pathOf(name)}`
}

describe('verifyPlace on files', () => {
  it('needs no identity of the chain, and tells progress', async () => {
    const calls: [number, number][] = []
    const report = await verifyPlace(`file:${pathOf('good')}`, {
      onProgress: (done, total) => calls.push([done, total]),
    })
    expect(report).toMatchObject({ ok: true, chain: chainId, problems: [], voids: 0 })
    expect(calls.at(-1)).toEqual([report.records, report.records])
  })

  it('judges what stands before the damage, and names its place', async () => {
    const size = 20_000
    const report = await verifyPlace(changed('late', 'seg-000000.ate', size))
    expect(report).toMatchObject({ ok: false, chain: chainId })
    expect(report.records).toBeGreaterThan(1)
    expect(report.problems).toEqual([
      { code: 'DAMAGED', segment: 'seg-000000.ate', offset: expect.any(Number), seq: report.records },
    ])
    expect(report.problems[0]!.offset!).toBeLessThanOrEqual(size)
  })

  it('reports a genesis that is damaged: no chain is known then', async () => {
    const report = await verifyPlace(changed('first', 'seg-000000.ate', 6000))
    expect(report).toMatchObject({ ok: false, chain: undefined, records: 0, head: undefined })
    expect(report.problems[0]).toMatchObject({ code: 'DAMAGED', segment: 'seg-000000.ate' })
  })

  it('reports a folder without its manifest', async () => {
    const place = changed('headless', 'MANIFEST', 0)
    rmSync(join(pathOf('headless'), 'MANIFEST'))
    const report = await verifyPlace(place)
    expect(report).toMatchObject({ ok: false, chain: undefined })
    expect(report.problems[0]).toMatchObject({ code: 'DAMAGED', segment: 'MANIFEST' })
  })

  it.each([
    ['no chain', 'nowhere', undefined, 'CHAIN_NOT_FOUND'],
    ['another chain', 'good', `${'g'.repeat(51)}0`, 'WRONG_CHAIN'],
    ['no id', 'good', 'x', 'BAD_ID'],
  ])('throws for %s', async (_, name, id, code) => {
    await expect(verifyPlace(`file:${pathOf(name)}`, id === undefined ? {} : { id })).rejects.toMatchObject({ code })
  })

  it('an older copy and another history than this machine has seen are problems', async () => {
    const path = pathOf('seen')
    const identity = await createIdentity()
    await (await openChain(`file:${path}`, { as: identity })).close()
    cpSync(path, pathOf('older'), { recursive: true, filter: (file) => !file.endsWith('LOCK') })
    cpSync(path, pathOf('other'), { recursive: true, filter: (file) => !file.endsWith('LOCK') })
    const chain = await openChain(`file:${path}`, { as: identity })
    await chain.transact((tx) => tx.create(Thing, 'a'))
    await chain.close()
    const older = await verifyPlace(`file:${pathOf('older')}`)
    expect(older).toMatchObject({ ok: false, problems: [{ code: 'ROLLBACK', seq: 2 }] })
    const other = await openChain(`file:${pathOf('other')}`, { as: identity, rollback: 'accept' })
    await other.transact((tx) => tx.create(Thing, 'b'))
    await other.close()
    expect(await verifyPlace(`file:${path}`)).toMatchObject({ ok: false, problems: [{ code: 'FORK', seq: 2 }] })
  })
})

describe('verifyPlace on an engine whose records were altered with right checksums', () => {
  async function altered(seq: number, change: (bytes: Uint8Array) => void): Promise<LogEngine> {
    const chain = await openChain(memoryEngine(memoryStore()), { as: await createIdentity() })
    await chain.close()
    const store = memoryStore()
    const writer = await openChain(memoryEngine(store), { as: await createIdentity() })
    for (let i = 0; i < 3; i++) await writer.transact((tx) => tx.create(Thing, i))
    await writer.close()
    const engine = memoryEngine(store)
    const read = engine.read.bind(engine)
    engine.read = async function* (from, options): AsyncGenerator<readonly LogRecord[]> {
      for await (const chunk of read(from, options)) {
        yield chunk.map((record) => {
          if (record.seq !== seq) return record
          const bytes = record.bytes.slice()
          change(bytes)
          return { ...record, bytes }
        })
      }
    }
    return engine
  }

  const flipAt =
    (at: number) =>
    (bytes: Uint8Array): void => {
      const index = at < 0 ? bytes.length + at : at
      bytes[index] = bytes[index]! ^ 1
    }

  it.each([
    ['the sealed value', 2, flipAt(-1), 'BAD_BODY'],
    ['the clear part', 2, flipAt(320), 'BAD_ROOT'],
    ['the signature', 2, flipAt(210), 'LINK_MISMATCH'],
    ['the link', 2, flipAt(8), 'LINK_MISMATCH'],
    ['the genesis', 0, flipAt(5000), 'BAD_SIGNATURE'],
  ])('names what is wrong with %s, and the record', async (_, seq, change, code) => {
    const report = await verifyPlace(await altered(seq, change))
    expect(report.ok).toBe(false)
    expect(report.records).toBe(seq)
    expect(report.problems).toMatchObject([{ code, seq }])
  })
})

describe('knownPlaces', () => {
  it('lists what kept identities opened, and sees what is gone or damaged', async () => {
    const names = ['kept', 'gone', 'broken', 'swapped']
    const identity = await machineIdentity()
    for (const name of names) await (await openChain(`file:${pathOf(name)}`, { as: identity })).close()
    rmSync(pathOf('gone'), { recursive: true })
    rmSync(join(pathOf('broken'), 'MANIFEST'))
    rmSync(pathOf('swapped'), { recursive: true })
    cpSync(pathOf('good'), pathOf('swapped'), { recursive: true, filter: (file) => !file.endsWith('LOCK') })
    const found = (await knownPlaces()).filter(({ place }) => place.includes(scratch))
    expect(found.map(({ place, state }) => [place, state])).toEqual([
      [`file:${pathOf('kept')}`, 'there'],
      [`file:${pathOf('gone')}`, 'gone'],
      [`file:${pathOf('broken')}`, 'DAMAGED'],
      [`file:${pathOf('swapped')}`, 'WRONG_CHAIN'],
    ])
    for (const { head } of found) expect(head?.seq).toBe(0)
  })
})

/** Gives its records once, with what is wrong with the bytes behind them; to read them again is an error. */
class Scanning extends ForwardingEngine {
  readonly problems: LogProblem[] = []
  altered = -1
  closedAt = -1

  async *scan(): AsyncGenerator<LogProblem | readonly LogRecord[]> {
    for await (const chunk of this.inner.read(0, { chunkBytes: 1 })) {
      if (chunk[0]!.seq === this.closedAt) throw new AteError('CHAIN_CLOSED')
      yield chunk.map((record) => {
        const bytes = record.bytes.slice()
        if (record.seq === this.altered) bytes[100]! ^= 1
        return { ...record, bytes }
      })
    }
    yield* this.problems
  }

  override read(): AsyncIterable<readonly LogRecord[]> {
    throw new Error('the records were read once more')
  }
}

describe('a log that gives its records while it is scrubbed', () => {
  async function scanning(): Promise<Scanning> {
    const store = memoryStore()
    const chain = await openChain(memoryEngine(store), { as: await createIdentity() })
    for (let i = 0; i < 5; i++) await chain.transact((tx) => tx.create(Thing, i))
    await chain.close()
    return new Scanning(memoryEngine(store))
  }

  it('is read once', async () => {
    expect(await verifyPlace(await scanning())).toMatchObject({ ok: true, problems: [] })
  })

  it('is looked at to its end, whatever the judging comes to', async () => {
    const engine = await scanning()
    engine.altered = 2
    engine.problems.push({ code: 'DAMAGED', segment: 'MANIFEST', offset: 0, firstSeq: 9, lastSeq: 8 })
    const { records, problems } = await verifyPlace(engine)
    expect(records).toBe(2)
    expect(problems).toEqual([
      { code: 'DAMAGED', segment: 'MANIFEST', offset: 0, seq: 9 },
      expect.objectContaining({ seq: 2 }),
    ])
  })

  it('says nothing of its records if it is closed meanwhile', async () => {
    const engine = await scanning()
    engine.closedAt = 3
    await expect(verifyPlace(engine)).rejects.toMatchObject({ code: 'CHAIN_CLOSED' })
  })
})
