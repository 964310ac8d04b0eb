/**
 * Streams of records that were verified when the chain was opened: what stands in the log since is given out as it was verified, or not
 * at all. Of records with a print and of those without.
 */
import { describe, expect, it } from 'vitest'
import { knownCommit } from '../../src/chain/record-prints.ts'
import { committedKey, infoOf } from '../../src/crypto/committed-key.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { sealInfo } from '../../src/crypto/seal.ts'
import type { ChainEvent } from '../../src/data/events.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { spansOfCommit } from '../../src/event/commit-spans.ts'
import { bytesOfWords } from '../../src/event/entity-words.ts'
import { COMMIT, KIND, SUITE } from '../../src/event/format.ts'
import { parseRecordHead } from '../../src/event/record.ts'
import { RunTree } from '../../src/event/run-tree.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { quickPlatform } from '../../src/testing/quick-platform.ts'
import { recordsOf, slabsOf } from '../log/stored-records.ts'
import { Count, codeOf, coreOf, crypto, type Kit, memoryChain, Note, reopen } from './kit.ts'

/** Of records with a print, and of those without. */
const MANY = 40
const FEW = 6

interface Calls {
  /** Small hashes. */
  hashes: number
  /** Reads of parts of records. */
  parts: number
}

/** A chain whose last record has `count` notes, opened by a session that did not write it. */
async function chainOf(
  count: number,
  more: Partial<CryptoProvider> = {},
): Promise<{ readonly kit: Kit; readonly seq: number; readonly calls: Calls }> {
  const calls = { hashes: 0, parts: 0 }
  const provider: CryptoProvider = {
    ...crypto,
    sha256Into(data, out, at) {
      calls.hashes++
      crypto.sha256Into(data, out, at)
    },
    ...more,
  }
  const written = await memoryChain({}, quickPlatform(3, { crypto: provider }))
  await written.chain.transact((tx) => {
    for (let i = 0; i < count; i++) tx.create(Note, { text: `note ${i} of ${count}` })
  })
  const kit = await reopen(written)
  const readPart = kit.engine.readPart.bind(kit.engine)
  kit.engine.readPart = (...given) => {
    calls.parts++
    return readPart(...given)
  }
  const { seq } = recordsOf(kit.store).findLast(({ bytes }) => parseRecordHead(bytes).kind === KIND.commit)!
  return { kit, seq, calls }
}

const shown = async (event: ChainEvent): Promise<string> => {
  const { seq, index, at, author, txId, op, entity, type, parent, collection, bytes } = event
  const { text } = await event.value(Note)
  return [seq, index, at, author, txId, op, entity, type, parent, collection, bytes, text].join(' ')
}

/** What a stream of the record gives: events, or the code of what it throws; for a value that it does not give, the code. */
async function streamed({ chain }: Kit, from: number): Promise<string[]> {
  const found: string[] = []
  const code = await codeOf(async () => {
    for await (const event of chain.events({ from, until: 'end' }))
      found.push(await shown(event).catch((error) => `code ${error.code}`))
  })
  return code === 'nothing was thrown' ? found : [...found, `code ${code}`]
}

/** Whatever the log is cut or altered to, the view stays as it was: so the kit does not compare them at the end. */
function put({ store }: Kit, seq: number, bytes: Uint8Array): void {
  store.records = slabsOf(recordsOf(store).map((record) => (record.seq === seq ? { ...record, bytes } : record)))
}

/** The record with another text in its first note, by who holds the key of the block: slice hash, tag and root fit. */
function forged({ store, core }: Kit, seq: number): Uint8Array {
  const bytes = recordsOf(store)[seq]!.bytes
  const { replica } = core
  const commit = new CommitParser(crypto).parse(replica.chainId, bytes)
  const block = commit.blocks[0]!
  const { node, epoch, salt } = block
  const row = replica.view.table.find(node.a, node.b, node.c, node.d)
  const info = sealInfo({
    suite: SUITE,
    chain: replica.chainId,
    node: bytesOfWords(node),
    epoch,
    writer: commit.writer,
    writerSeq: commit.writerSeq,
  })
  const { aes, nonce } = committedKey(
    crypto,
    core.keys.secretsOf({ row, id: node }, epoch)!.key!,
    salt,
    infoOf('seal', info),
  )
  const plaintext = aes.open(nonce, bytes.subarray(block.at, block.at + block.size), block.tag)!
  plaintext[12]! ^= 1
  const sealed = aes.seal(nonce, plaintext)
  bytes.set(sealed.ciphertext, block.at)
  bytes.set(sealed.tag, block.tag.byteOffset - bytes.byteOffset)
  const first = commit.transactions[0]!.events.find(({ body }) => body)!
  crypto.sha256Into(bytes.subarray(block.at, block.at + first.size), bytes, first.hashAt)
  setRoot(bytes)
  return bytes
}

function setRoot(bytes: Uint8Array): void {
  const { dictionary, blocks, transactions } = spansOfCommit(bytes)
  const tree = new RunTree(crypto)
  tree.add(0, bytes, dictionary.from, dictionary.to)
  for (const { from, to } of blocks) tree.add(1, bytes, from, to)
  for (const { head, runs } of transactions) {
    const events = new RunTree(crypto)
    for (const { from, to } of runs) events.add(3, bytes, from, to)
    const leaf = new Uint8Array(head.to - head.from + 32)
    leaf.set(bytes.subarray(head.from, head.to))
    events.rootInto(leaf, head.to - head.from)
    tree.add(2, leaf, 0, leaf.length)
  }
  tree.rootInto(bytes, COMMIT.root)
}

describe.each([
  ['with a print', MANY],
  ['without one', FEW],
])('a record %s', (_, count) => {
  it('is given out as it is, from where it stands', async () => {
    const { kit, seq, calls } = await chainOf(count)
    expect(kit.core.replica.prints?.at(seq) !== undefined).toBe(count === MANY)
    const once = await streamed(kit, seq)
    calls.hashes = 0
    calls.parts = 0
    expect(await streamed(kit, seq)).toEqual(once)
    expect(once.map((line) => line.slice(line.indexOf('note')))).toContainEqual(
      expect.stringContaining(`note 0 of ${count}`),
    )
    expect(calls.parts).toBe(0)
    // Of all bytes and the ids; or of leaves, the commit, the record, and each slice.
    if (count === MANY) expect(calls.hashes).toBeLessThan(10)
    else expect(calls.hashes).toBeGreaterThan(FEW)
    await kit.chain.close()
  })

  it('whatever byte of it is altered, gives out nothing else', async () => {
    const { kit, seq } = await chainOf(count)
    const good = await streamed(kit, seq)
    const { bytes } = recordsOf(kit.store)[seq]!
    const codes = new Set<string>()
    const step = count === MANY ? 5 : 1
    for (let at = 0; at < bytes.length; at += step) {
      const altered = bytes.slice()
      altered[at]! ^= 1 << (at % 8)
      put(kit, seq, altered)
      const found = await streamed(kit, seq)
      for (const line of found) {
        if (line.startsWith('code ')) codes.add(line)
        else expect(good).toContain(line)
      }
      // Nothing is left out in silence.
      expect([at, found.some((line) => line.startsWith('code '))]).toEqual([at, true])
    }
    for (const code of ['BAD_ROOT', 'BAD_BODY', 'BAD_RECORD', 'LINK_MISMATCH']) expect(codes).toContain(`code ${code}`)
    put(kit, seq, bytes)
    expect(await streamed(kit, seq)).toEqual(good)
    await kit.chain.close()
  })

  it('that who holds the key has written anew is refused', async () => {
    const { kit, seq } = await chainOf(count)
    const bytes = forged(kit, seq)
    expect(() => new CommitParser(crypto).parse(kit.core.replica.chainId, bytes)).not.toThrow()
    put(kit, seq, bytes)
    expect(await streamed(kit, seq)).toEqual(['code LINK_MISMATCH'])
    await kit.chain.close()
  })

  it('one slice of which was altered so that the tag fits gives out the others', async () => {
    // As who holds the key can have it: a tag is no hash.
    const { kit, seq } = await chainOf(count, {
      aesKey(bytes) {
        const key = crypto.aesKey(bytes)
        return { ...key, open: (nonce, ciphertext) => key.openSlice(nonce, ciphertext, 0) }
      },
    })
    const good = await streamed(kit, seq)
    const altered = recordsOf(kit.store)[seq]!.bytes
    altered[altered.length - 3]! ^= 1
    put(kit, seq, altered)
    const found = await streamed(kit, seq)
    expect(found.filter((line) => line === 'code BAD_BODY').length).toBe(1)
    expect(found.filter((line) => good.includes(line)).length).toBe(good.length - 1)
    await kit.chain.close()
  })

  it('of another kind than it was is refused', async () => {
    const { kit, seq } = await chainOf(count)
    const bytes = recordsOf(kit.store)[seq]!.bytes
    bytes[COMMIT.format - 1] = 3
    put(kit, seq, bytes)
    expect(await streamed(kit, seq)).toEqual(['code LINK_MISMATCH'])
    await kit.chain.close()
  })

  it('is read from the log by who opens its events later', async () => {
    const { kit, seq, calls } = await chainOf(count)
    const good = await streamed(kit, seq)
    const events: ChainEvent[] = []
    for await (const event of kit.chain.events({ from: seq, until: 'end' })) events.push(event)
    calls.parts = 0
    expect(await Promise.all(events.map(shown))).toEqual(good)
    expect(calls.parts).toBeGreaterThan(0)
    // Then it is looked at as any other body is.
    kit.core.bodies.forget()
    const { bytes } = recordsOf(kit.store)[seq]!
    const altered = bytes.slice()
    altered[altered.length - 1]! ^= 1
    put(kit, seq, altered)
    const late = events.findLast(({ type }) => type === Note.name)!
    expect(await codeOf(() => late.value(Note))).toBe('BAD_BODY')
    await kit.chain.close()
  })

  it('is not given out of memory once everything is to be forgotten', async () => {
    const { kit, seq, calls } = await chainOf(count)
    for await (const events of kit.chain.eventBatches({ from: seq, until: 'end' })) {
      const [first, second] = events.filter(({ type }) => type === Note.name)
      await first!.value(Note)
      expect(calls.parts).toBe(0)
      kit.core.bodies.forget()
      await second!.value(Note)
      expect(calls.parts).toBeGreaterThan(0)
      calls.parts = 0
    }
    await kit.chain.close()
  })
})

describe('a few of many', () => {
  it('are opened alone', async () => {
    const written = await memoryChain()
    await written.chain.transact((tx) => {
      for (let i = 0; i < MANY; i++) {
        tx.create(Note, { text: `${i}` })
        if (i % 10 === 0) tx.create(Count, { n: i })
      }
    })
    const kit = await reopen(written)
    const seen: number[] = []
    for await (const events of kit.chain.eventBatches({ until: 'end', type: Count }))
      for (const event of events) seen.push((await event.value(Count)).n)
    expect(seen).toEqual([0, 10, 20, 30])
    await kit.chain.close()
  })

  it('are given out where another slice of the record is damaged', async () => {
    const { kit, seq } = await chainOf(FEW)
    const good = await streamed(kit, seq)
    const bytes = recordsOf(kit.store)[seq]!.bytes
    bytes[bytes.length - 1]! ^= 1
    put(kit, seq, bytes)
    const found = await streamed(kit, seq)
    expect(found.filter((line) => line === 'code BAD_BODY').length).toBeGreaterThan(0)
    expect(found.filter((line) => good.includes(line)).length).toBeGreaterThan(0)
    await kit.chain.close()
  })
})

it('what this session has written has a print as well', async () => {
  await using kit = await memoryChain()
  await kit.chain.transact((tx) => {
    for (let i = 0; i < MANY; i++) tx.create(Note, { text: `${i}` })
  })
  const record = recordsOf(kit.store).findLast(({ bytes }) => parseRecordHead(bytes).kind === KIND.commit)!
  const { prints } = coreOf(kit.chain).replica
  const isKnown = (found: LogRecord): boolean => knownCommit(crypto, prints, found) !== undefined
  const bytes = record.bytes.slice()
  bytes[100]! ^= 1
  expect([isKnown(record), isKnown({ ...record, bytes }), isKnown({ ...record, seq: 0 })]).toEqual([true, false, false])
})
