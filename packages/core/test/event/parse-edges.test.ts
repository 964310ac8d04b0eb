/** The parts of records, each read alone: what is just within a limit or a range is taken, what is just outside is refused. */
import { describe, expect, it } from 'vitest'
import { toBase64, toHex, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import {
  COMMIT_BLOCKS_MAX,
  COMMIT_EVENTS_MAX,
  NOTE_BYTES_MAX,
  TX_GUARDS_MAX,
  WITNESSES_MAX,
} from '../../src/base/limits.ts'
import { encodeCanonical } from '../../src/codec/cbor.ts'
import { ByteReader, ByteWriter } from '../../src/codec/writer.ts'
import {
  encodeAcknowledgement,
  makeDelegation,
  parseAcknowledgement,
  parseDelegation,
} from '../../src/event/acknowledgement.ts'
import { parseCheckpoint } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { checkBodies } from '../../src/event/commit-bodies.ts'
import { CommitCompactor } from '../../src/event/commit-compact.ts'
import {
  bounded,
  CommitParser,
  parseBlockPlaces,
  placesEnd,
  readBlockHeaders,
  readDictionary,
  readEvent,
  readGuards,
} from '../../src/event/commit-parse.ts'
import { parseRuns, spansOfCommit } from '../../src/event/commit-spans.ts'
import { cosignersOf, parseWitnesses, witnessKeyText } from '../../src/event/cosignature.ts'
import { nameCreated, namedEntity } from '../../src/event/derive-ids.ts'
import { EntityWords, ROOT_ENTITY, sameEntity, wordsOf } from '../../src/event/entity-words.ts'
import { COMMIT, EVENTS_PER_LEAF, FLAG, GUARD, KIND, OP, OP_MAX, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { parseGenesis } from '../../src/event/genesis.ts'
import { checkSlice, readKeptRuns, sliceAt } from '../../src/event/kept-runs.ts'
import { addLines, keyIdOf, noteLine, parseNote, signatureIn } from '../../src/event/note.ts'
import { decodeRare } from '../../src/event/rare-fields.ts'
import { commitHashOf, encodeRecord, hashCommit, parseRecordHead, recordOf } from '../../src/event/record.ts'
import { TransactionEvent } from '../../src/event/transaction-event.ts'
import { actorOf, change, create, type ForgedEvent, Forger } from '../../src/testing/chain-kit.ts'
import { crypto, errorOf, root } from '../chain/kit.ts'

const bytes = (size: number, value = 7): Uint8Array => new Uint8Array(size).fill(value)

function written(write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter(64)
  write(out)
  return out.copy()
}

/** `taken`, or what the refusal is about. */
function about(run: () => unknown): unknown {
  const caught = errorOf(run)
  if (caught === 'nothing was thrown') return 'taken'
  return isAteError(caught) ? (caught.facts['what'] ?? caught.code) : caught
}

const dictionary = { entities: [ROOT_ENTITY], names: ['n'] }

describe('a count', () => {
  it('is at most the limit, and at most the bytes that are left', () => {
    const read = (count: number, max: number, left: number): unknown =>
      about(() => bounded(new ByteReader(Uint8Array.of(count, ...bytes(left))), max, 'count'))
    expect([read(3, 3, 9), read(4, 3, 9), read(4, 9, 4), read(5, 9, 4)]).toEqual(['taken', 'count', 'taken', 'count'])
  })
})

describe('the head of a record', () => {
  it('is of a kind that there is', () => {
    const head = (kind: number): Uint8Array => Uint8Array.of(...new Uint8Array(RECORD_HEAD_BYTES - 1), kind)
    const codes = [0, KIND.genesis, KIND.recover, KIND.recover + 1].map((kind) =>
      about(() => parseRecordHead(head(kind))),
    )
    expect(codes).toEqual(['BAD_RECORD', 'taken', 'taken', 'BAD_RECORD'])
  })

  it('of a commit names a certificate that is there, as a whole, or none', () => {
    const record = (size: number, rest: number): Uint8Array => {
      const head = new Uint8Array(COMMIT.certificate + rest)
      head[80] = KIND.commit
      new DataView(head.buffer).setUint32(COMMIT.certificateLength, size)
      return head
    }
    const chain = bytes(32)
    for (const rest of [0, 5]) {
      const none = record(0, rest)
      expect(commitHashOf(crypto, chain, none)).toEqual(hashCommit(crypto, chain, none, undefined))
    }
    const whole = record(5, 5)
    expect(commitHashOf(crypto, chain, whole)).toEqual(hashCommit(crypto, chain, whole, new Uint8Array(5)))
    expect(about(() => commitHashOf(crypto, chain, record(6, 5)))).toBe('certificate')
    expect(about(() => commitHashOf(crypto, chain, record(0, 0).slice(0, -1)))).toBe('BAD_RECORD')
    // Only commits have one: the bytes of others say something else there, or end before.
    const sweep = Uint8Array.of(...new Uint8Array(80), KIND.sweep, 0)
    expect(recordOf(crypto, chain, sweep)).toMatchObject({ seq: 0, bytes: sweep })
  })
})

describe('guards', () => {
  const one = (kind: number, name = 0): Uint8Array =>
    written((out) => {
      out.varint(1)
      out.u8(kind)
      out.raw(bytes(16))
      out.varint(name)
      out.varint(5)
    })
  it('are of a kind that there is, and name what is in the dictionary', () => {
    const read = (given: Uint8Array): unknown => about(() => readGuards(new ByteReader(given), dictionary))
    expect([read(one(GUARD.version)), read(one(GUARD.notBefore))]).toEqual(['taken', 'taken'])
    expect([read(one(0)), read(one(GUARD.notBefore + 1))]).toEqual(['guard kind', 'guard kind'])
    expect(read(one(GUARD.members, 1))).toBe('index into the dictionary')
    const many = written((out) => {
      out.varint(TX_GUARDS_MAX + 1)
      out.raw(bytes(TX_GUARDS_MAX + 1, 1))
    })
    expect(errorOf(() => readGuards(new ByteReader(many), dictionary))).toMatchObject({
      facts: { what: 'guards', max: TX_GUARDS_MAX },
    })
  })
})

describe('an event', () => {
  const block = { at: 0, size: 40 }
  interface Slice {
    readonly block?: number
    readonly size?: number
    readonly from?: number
  }
  const read = (op: number, flags: number, { block: index = 0, size = 40, from = 0 }: Slice = {}): unknown => {
    const given = written((out) => {
      out.u8(op)
      out.u8(flags)
      if (op === OP.create) for (let i = 0; i < 3; i++) out.varint(0)
      else out.raw(bytes(16))
      if (flags & FLAG.named && op === OP.create) out.raw(bytes(16))
      if (op === OP.move) for (let i = 0; i < 2; i++) out.varint(0)
      out.varint(1)
      if (flags & FLAG.rare) out.sized(encodeCanonical({ ttl: 1 }))
      if (flags & FLAG.body) {
        out.varint(index)
        out.varint(size)
        out.raw(bytes(32))
      }
    })
    return about(() => readEvent(new ByteReader(given), dictionary, [block], [from]))
  }

  it('is of an operation that there is', () => {
    for (let op = OP.create; op <= OP_MAX; op++) expect([op, read(op, 0)]).toEqual([op, 'taken'])
    expect([read(0, 0), read(OP_MAX + 1, 0)]).toEqual(['operation', 'operation'])
  })

  it('has the flags that its operation knows', () => {
    expect([read(OP.create, 7), read(OP.put, 5), read(OP.delete, 4)]).toEqual(['taken', 'taken', 'taken'])
    for (const [op, flags] of [
      [OP.create, 8],
      [OP.put, 2],
      [OP.put, 8],
      [OP.delete, 1],
      [OP.move, 2],
    ] as const)
      expect([op, flags, read(op, flags)]).toEqual([op, flags, 'flags of an event'])
  })

  it('has its bytes in a block, and in no more of it than is left', () => {
    expect(read(OP.put, FLAG.body, { block: 1 })).toBe('block of an event')
    expect(read(OP.put, FLAG.body, { size: 41 })).toBe('slices are longer than their block')
    expect(read(OP.put, FLAG.body, { size: 10, from: 30 })).toBe('taken')
    expect(read(OP.put, FLAG.body, { size: 10, from: 31 })).toBe('slices are longer than their block')
  })
})

describe('block headers', () => {
  const header = (out: ByteWriter, mode = 0, node = 0): void => {
    out.varint(node)
    out.varint(0)
    out.u8(mode)
    if (mode === 1) out.raw(bytes(1120))
    out.raw(bytes(80))
    out.varint(1)
  }
  const read = (count: number, mode = 0, node = 0): unknown =>
    about(() =>
      readBlockHeaders(
        new ByteReader(
          written((out) => {
            out.u8(count)
            for (let i = 0; i < count; i++) header(out, mode, node)
          }),
        ),
        dictionary,
        () => undefined,
      ),
    )
  it('are of two modes, of nodes in the dictionary, and as many as one byte counts', () => {
    expect([read(1), read(1, 1), read(COMMIT_BLOCKS_MAX)]).toEqual(['taken', 'taken', 'taken'])
    expect([read(1, 2), read(1, 0, 1)]).toEqual(['block mode', 'index into the dictionary'])
    expect(COMMIT_BLOCKS_MAX).toBe(255)
  })
})

describe('a commit', () => {
  const chain = new Forger({ crypto, roots: [root] })
  const session = chain.session(root)
  const parser = new CommitParser(crypto)
  const parts = (...events: ForgedEvent[]): Uint8Array => chain.commit(session, [chain.tx(...events)]).bytes.slice()
  const body = (size = 12): ForgedEvent =>
    create({ collection: 'c', body: chain.body(ROOT_ENTITY, { bytes: chain.bytes(size) }) })
  const read = (record: Uint8Array): unknown => about(() => parser.parse(chain.chainId, record))

  it('is of this format and suite, which are looked at before the rest', () => {
    for (const at of [COMMIT.format, COMMIT.suite]) {
      const other = parts()
      other[at]! ^= 2
      expect([read(other), about(() => parseBlockPlaces(other))]).toEqual(['UNSUPPORTED_FORMAT', 'UNSUPPORTED_FORMAT'])
    }
  })

  it('has no bytes behind its blocks, and the bodies that it signs', () => {
    const record = parts(body(), body())
    expect(read(record)).toBe('taken')
    expect(read(Uint8Array.of(...record, 0))).toBe('blocks and record differ in size')
    expect(read(record.slice(0, -1))).toBe('blocks and record differ in size')
    const changed = record.slice()
    changed[record.length - 1]! ^= 1
    expect(about(() => checkBodies(crypto, parser.parse(chain.chainId, record)))).toBe('taken')
    expect(about(() => checkBodies(crypto, parser.parse(chain.chainId, changed)))).toBe('BAD_BODY')
  })

  it('has blocks that its events fill: a byte that no event owns is hidden', () => {
    const record = parts(body(20))
    const { blocks, clearEnd } = parser.parse(chain.chainId, record)
    // The size of the slice stands before its hash, at the end of the clear part.
    const at = clearEnd - 33
    expect([record[at], blocks[0]!.size]).toEqual([20, 20])
    record[at] = 19
    expect(read(record)).toBe('a block and its slices differ in size')
    record[at] = 21
    expect(read(record)).toBe('slices are longer than their block')
  })

  it('without what was dropped says where its parts end, and without all of them too', () => {
    const record = parts(body(300), body(0), body(40), body(50), change(OP.delete, ROOT_ENTITY))
    const whole = parser.parse(chain.chainId, record)
    const compactor = new CommitCompactor()
    const none = compactor.compact(whole, () => false)!.slice()
    const some = compactor.compact(whole, (_, offset) => offset > 0)!.slice()
    expect(compactor.compact(whole, () => true)).toBeUndefined()
    expect([none.length < some.length, some.length < record.length]).toEqual([true, true])
    for (const compact of [none, some]) {
      checkBodies(crypto, parser.parse(chain.chainId, compact))
      const short = placesEnd(compact.subarray(0, COMMIT.certificate))
      expect(short).toBe(whole.clearEnd + 4)
      const end = placesEnd(compact.subarray(0, short))
      expect([end > short, placesEnd(compact.subarray(0, end))]).toEqual([true, end])
      expect(parseBlockPlaces(compact.subarray(0, end)).blocks).toEqual(parser.parse(chain.chainId, compact).blocks)
    }
    expect(placesEnd(record.subarray(0, COMMIT.certificate))).toBe(whole.clearEnd)
    // One run for neighbours; what lies between two kept ones is not kept with them.
    expect(parser.parse(chain.chainId, some).blocks[0]!.runs?.length).toBe(1)
    const apart = compactor.compact(whole, (_, offset) => offset !== 300)!.slice()
    expect(parser.parse(chain.chainId, apart).blocks[0]!.runs?.map(({ size }) => size)).toEqual([300, 50])
    // What was dropped stays dropped, and what stood on both sides of it is two runs.
    const parsed = parser.parse(chain.chainId, apart)
    const again = compactor.compact(parsed, (_, offset) => offset !== 340)!.slice()
    expect(again).toEqual(compactor.compact(whole, (_, offset) => offset === 0)!.slice())
    const four = parser.parse(chain.chainId, parts(body(40), body(30), body(20), body(50), body(0)))
    const three = compactor.compact(four, (_, offset) => offset !== 40)!.slice()
    const two = compactor.compact(parser.parse(chain.chainId, three), (_, offset) => offset < 90)!.slice()
    expect(parser.parse(chain.chainId, two).blocks[0]!.runs?.map(({ size }) => size)).toEqual([40, 20])
    // A slice without bytes is no run, also if it is the only one that is live.
    const empty = compactor.compact(four, (_, offset) => offset === 140)!.slice()
    expect(parser.parse(chain.chainId, empty).blocks[0]!.runs).toEqual([])
    // Where the table costs as much as the bytes that it spares, or more, nothing is gained.
    const even = parser.parse(chain.chainId, parts(body(7), body(9)))
    expect(compactor.compact(even, (_, offset) => offset > 0)).toBeUndefined()
    const odd = parser.parse(chain.chainId, parts(body(8), body(9)))
    expect(compactor.compact(odd, (_, offset) => offset > 0)?.length).toBe(odd.bytes.length - 1)
    const tiny = parser.parse(chain.chainId, parts(body(1), body(1)))
    expect(compactor.compact(tiny, (_, offset) => offset > 0)).toBeUndefined()
  })

  it('gives its events in runs, which are read alone: each full but the last, none empty, none longer', () => {
    const record = parts(...Array.from({ length: 40 }, () => create({ collection: 'c' })))
    const spans = spansOfCommit(record)
    const cut = ({ from, to }: { readonly from: number; readonly to: number }): Uint8Array => record.subarray(from, to)
    const [transaction] = spans.transactions
    const runs = transaction!.runs.map(cut) as [Uint8Array, Uint8Array, Uint8Array]
    expect(transaction!.events.length).toBe(40)
    const parse = (...given: readonly Uint8Array[]): unknown =>
      about(() => parseRuns(cut(spans.dictionary), cut(transaction!.head), given))
    const events = parseRuns(cut(spans.dictionary), cut(transaction!.head), runs).events
    expect([runs.length, events.length]).toEqual([3, 40])
    expect([parse(...runs), parse(runs[0], runs[1]), parse(runs[2])]).toEqual(['taken', 'taken', 'taken'])
    const joined = Uint8Array.of(...runs[0], ...runs[2])
    for (const wrong of [[runs[2], runs[0]], [new Uint8Array(0)], [runs[0], new Uint8Array(0)]])
      expect(parse(...wrong)).toBe('a run of events')
    expect(parse(joined)).toBe('bytes left over')
    const even = spansOfCommit(parts(...Array.from({ length: EVENTS_PER_LEAF }, () => create({ collection: 'c' }))))
    expect([even.transactions[0]!.runs.length, spansOfCommit(parts()).transactions[0]!.runs.length]).toEqual([1, 0])
  })

  it('has at most so many entities in its dictionary', () => {
    const many = (entities: number): unknown =>
      about(() =>
        readDictionary(
          new ByteReader(
            written((out) => {
              out.varint(entities)
              out.raw(bytes(entities, 0))
            }),
          ),
        ),
      )
    expect(many(COMMIT_EVENTS_MAX * 2 + 1)).toBe('entities')
    expect(many(COMMIT_EVENTS_MAX * 2)).toBe('BAD_RECORD')
  })
})

describe('slices of what was kept', () => {
  const block = { at: 100, size: 50, runs: [{ offset: 10, size: 20, at: 100 }] }
  it('stand as a whole or not at all; one without bytes is always there', () => {
    expect([sliceAt(block, 10, 20), sliceAt(block, 12, 18), sliceAt(block, 12, 19), sliceAt(block, 9, 1)]).toEqual([
      100,
      102,
      undefined,
      undefined,
    ])
    expect([sliceAt(block, 40, 0), sliceAt({ at: 100, size: 50 }, 40, 10)]).toEqual([100, 140])
    const check = (offset: number, size: number): unknown => about(() => checkSlice(block, offset, size))
    expect([check(10, 20), check(0, 10), check(30, 20), check(15, 0), check(40, 0)]).toEqual(Array(5).fill('taken'))
    expect([check(0, 11), check(29, 2), check(0, 50), check(5, 30)]).toEqual(Array(4).fill('a slice is kept in part'))
    expect(about(() => checkSlice({ at: 0, size: 50 }, 5, 30))).toBe('taken')
  })

  it('are fewer than there were: a table that drops nothing is refused, whatever empty blocks stand beside it', () => {
    const read = (table: readonly number[], sizes: readonly number[]): unknown =>
      about(() => readKeptRuns(Uint8Array.of(0, 0, 0, table.length, ...table, ...bytes(9)), 0, sizes))
    const none = 'compacted, and nothing is dropped'
    expect([read([1, 0, 5], [5]), read([1, 0, 5, 0], [5, 0]), read([0, 1, 0, 5], [0, 5])]).toEqual([none, none, none])
    expect([read([1, 0, 4, 0], [5, 0]), read([1, 0, 5, 0], [5, 1])]).toEqual(['taken', 'taken'])
    expect(read([9, 0, 4], [5])).toBe('kept runs')
  })
})

it('a record that is written is read again', () => {
  const head = { seq: 7, prev: bytes(32, 1), admittedAt: 9, sequencer: bytes(32, 2), kind: KIND.sweep }
  const record = encodeRecord(crypto, bytes(32), head, bytes(5))
  expect(parseRecordHead(record.bytes)).toEqual(head)
  expect(recordOf(crypto, bytes(32), record.bytes)).toEqual(record)
})

describe('ids', () => {
  it('of names follow from parent, collection and key; those of other events stay', () => {
    const chain = bytes(32)
    const id = (parent: EntityWords, collection: string, key: Uint8Array): EntityWords =>
      namedEntity(crypto, chain, parent, collection, wordsOf(key))
    const first = id(ROOT_ENTITY, 'c', bytes(16))
    for (const other of [
      id(new EntityWords(1, 0, 0, 0), 'c', bytes(16)),
      id(ROOT_ENTITY, 'd', bytes(16)),
      id(ROOT_ENTITY, 'c', bytes(16, 8)),
    ])
      expect(sameEntity(first, other)).toBe(false)
    const events = [new TransactionEvent(OP.put), new TransactionEvent(OP.create), new TransactionEvent(OP.create)]
    nameCreated(crypto, chain, bytes(32), { nonce: bytes(16), events })
    expect(events.map(({ d }) => d)).toEqual([0, 1, 2])
    expect(events[0]).toMatchObject({ a: 0, b: 0, c: 0 })
  })
})

describe('a genesis', () => {
  const record = new Forger({ crypto, roots: [actorOf(crypto, 'root')] }).records[0]!.bytes
  const read = (given: Uint8Array): unknown => {
    const caught = errorOf(() => parseGenesis(crypto, given))
    return isAteError(caught) ? { code: caught.code, ...caught.facts } : caught
  }
  const input = new ByteReader(record, RECORD_HEAD_BYTES)
  const parameters = input.sized(1 << 19)
  const epoch = input.sized(1 << 19)
  const rest = record.subarray(input.at)
  const built = (given: Uint8Array, rare: Uint8Array, signed: Uint8Array): Uint8Array =>
    written((out) => {
      out.raw(record.subarray(0, RECORD_HEAD_BYTES))
      out.sized(given)
      out.sized(rare)
      out.raw(signed)
    })

  it('is signed by each root, once, and ends there', () => {
    expect(read(record)).toBe('nothing was thrown')
    expect(built(parameters, epoch, rest)).toEqual(record)
    const flipped = rest.slice()
    flipped[9]! ^= 1
    expect(read(built(parameters, epoch, flipped))).toMatchObject({ code: 'BAD_SIGNATURE' })
    const twice = Uint8Array.of(2, ...rest.subarray(1), ...rest.subarray(1))
    expect(read(built(parameters, epoch, twice))).toMatchObject({ code: 'BAD_GENESIS', what: 'signatures', count: 2 })
    expect(read(built(parameters, epoch, Uint8Array.of(0)))).toMatchObject({ what: 'signatures', count: 0 })
  })

  it('has an epoch, and bytes that are what they say: anything else is no genesis', () => {
    expect(read(built(parameters, encodeCanonical({}), rest))).toEqual({ code: 'BAD_GENESIS', what: 'epoch' })
    for (const wrong of [record.slice(0, -1), Uint8Array.of(...record, 0), built(bytes(3, 0xff), epoch, rest)])
      expect(read(wrong)).toEqual({ code: 'BAD_GENESIS' })
    expect(read(built(parameters, encodeCanonical({ other: 1 }), rest))).toEqual({ code: 'BAD_GENESIS' })
  })
})

describe('rare fields', () => {
  const epoch = { number: 0, commitment: bytes(32), wraps: [] }
  const read = (value: unknown): unknown => about(() => decodeRare(encodeCanonical(value)))
  it('have bytes where bytes are asked for, and lists and bytes up to their limit', () => {
    const numbers = Array.from({ length: 32 }, () => 7)
    for (const wrong of [
      { epoch: { ...epoch, commitment: numbers } },
      { epoch: { ...epoch, link: numbers } },
      { epoch: { ...epoch, link: bytes(257) } },
      { holds: Array.from({ length: 65 }, () => 'x') },
    ])
      expect(read(wrong)).toBe('fields of an event')
    expect(read({ epoch: { ...epoch, link: bytes(256) } })).toBe('taken')
    expect(read({ holds: Array.from({ length: 64 }, () => 'x') })).toBe('taken')
  })
})

describe('a note', () => {
  const origin = 'ate/x'
  const key = crypto.ed25519Signer(bytes(32, 1))
  const keyId = keyIdOf(crypto, origin, 1, key.publicKey)
  const checkpoint = { origin, size: 7, root: bytes(32, 9) }
  const signed = encodeCheckpoint(crypto, checkpoint, key)
  const text = new TextDecoder().decode(signed)
  const read = (given: string): unknown => about(() => parseNote(utf8(given)))

  it('has its form, a size that a number holds, and at most so many bytes', () => {
    expect(read(text)).toBe('taken')
    for (const wrong of ['', text.slice(0, -1), text.replace('\n7\n', '\n07\n'), text.replace('\n\n', '\n')])
      expect(read(wrong)).toBe('form')
    expect([read(text.replace('\n7\n', `\n${2 ** 53 - 1}\n`)), read(text.replace('\n7\n', `\n${2 ** 53}\n`))]).toEqual([
      'taken',
      'form',
    ])
    // The last character of base64 has bits that no byte uses: two spellings would be one root.
    expect(read(text.replace(/.=\n\n/, 'B=\n\n'))).toBe('form')
    const line = (size: number): string => `${text}— a ${'A'.repeat(size - utf8(`${text}— a \n`).length)}\n`
    expect([read(line(NOTE_BYTES_MAX)), read(line(NOTE_BYTES_MAX + 1))]).toEqual(['taken', 'BAD_CHECKPOINT'])
  })

  it('has signatures behind the name and the id of their key, and of no other', () => {
    const line = noteLine(origin, keyId, bytes(64))
    expect(signatureIn(line, origin, keyId)).toEqual(bytes(64))
    expect(signatureIn(line, 'ate/y', keyId)).toBeUndefined()
    expect(signatureIn(line, origin, bytes(4))).toBeUndefined()
    expect(signatureIn(noteLine(origin, keyId, new Uint8Array(0)), origin, keyId)).toEqual(new Uint8Array(0))
    expect(signatureIn(`— ${origin} ${toBase64(keyId.subarray(0, 3))}`, origin, keyId)).toBeUndefined()
    expect(signatureIn(`— ${origin} !`, origin, keyId)).toBeUndefined()
    expect(about(() => addLines(signed, [`— a ${toBase64(bytes(5))}`]))).toBe('taken')
    for (const wrong of [`— a ${toBase64(bytes(4))}`, 5 as never])
      expect(about(() => addLines(signed, [wrong]))).toBe('form of a signature line')
  })

  it('of a checkpoint is of this chain, and signed by one of its keys', () => {
    const record = Uint8Array.of(...new Uint8Array(RECORD_HEAD_BYTES), ...signed)
    const check = (name: string, keys: readonly Uint8Array[], given = record): unknown =>
      about(() => parseCheckpoint(crypto, given, name, keys))
    const other = crypto.ed25519Signer(bytes(32, 2)).publicKey
    expect([check(origin, [key.publicKey]), check(origin, [other, key.publicKey])]).toEqual(['taken', 'taken'])
    expect([check('ate/y', [key.publicKey]), check(origin, [other]), check(origin, [])]).toEqual([
      'form',
      'signature',
      'signature',
    ])
    const forged = text.replace('\n7\n', '\n8\n')
    const again = Uint8Array.of(...new Uint8Array(RECORD_HEAD_BYTES), ...utf8(forged))
    expect(check(origin, [key.publicKey], again)).toBe('signature')
  })
})

describe('keys of witnesses', () => {
  const key = (i: number): Uint8Array => bytes(32, i)
  const named = (i: number): string => witnessKeyText(crypto, `w${i}`, key(i))
  const check = (given: unknown): unknown => errorOf(() => parseWitnesses(crypto, given as never))
  const keys = [named(1), named(2)]

  it('are a list of texts of their type and length, and a quorum that is a whole number', () => {
    const many = Array.from({ length: WITNESSES_MAX }, (_, i) => named(i))
    for (const good of [
      { keys, quorum: 1 },
      { keys, quorum: 2 },
      { keys: many, quorum: 9 },
    ])
      expect(check(good)).toBe('nothing was thrown')
    const text = named(1)
    const typed = (change: Uint8Array): string => text.replace(/\+[^+]+$/, `+${toBase64(change)}`)
    const id = toHex(keyIdOf(crypto, 'w1', 4, bytes(31)))
    for (const wrong of [
      null,
      5,
      { keys: 'x', quorum: 1 },
      { keys: [...many, named(99)], quorum: 1 },
      ...[1.5, Number.NaN, 0, 3, '1'].map((quorum) => ({ keys, quorum })),
      { keys: [typed(Uint8Array.of(1, ...key(1)))], quorum: 1 },
      { keys: [`w1+${id}+${toBase64(Uint8Array.of(4, ...bytes(31)))}`], quorum: 1 },
      { keys: [5], quorum: 1 },
    ])
      expect(check(wrong), JSON.stringify(wrong)).toMatchObject({ code: 'BAD_ARGUMENT' })
  })

  it('a line of a known witness that is too short for a time is wrong, not skipped', () => {
    const witnesses = parseWitnesses(crypto, { keys: [named(1)], quorum: 1 })
    const text = new TextDecoder().decode(
      encodeCheckpoint(crypto, { origin: 'ate/x', size: 7, root: bytes(32) }, crypto.ed25519Signer(bytes(32))),
    )
    const id = keyIdOf(crypto, 'w1', 4, key(1))
    for (const size of [1, 7, 71, 73]) {
      const note = parseNote(addLines(utf8(text), [noteLine('w1', id, bytes(size))]))
      expect(errorOf(() => cosignersOf(crypto, note, witnesses))).toMatchObject({ code: 'BAD_COSIGNATURE' })
    }
  })
})

describe('what servers sign', () => {
  const signer = crypto.ed25519Signer(bytes(32, 1))
  const server = { fingerprintBytes: root.id, sign: (message: Uint8Array) => root.identity.sign(message, 'delegation') }
  const body = { key: signer.publicKey, checkpointKey: bytes(32), from: 0, until: 1 }
  const make = (change: object): unknown => errorOf(() => makeDelegation(crypto, { ...body, ...change }, server))

  it('lasts from a time to a later one', () => {
    expect(make({})).toBe('nothing was thrown')
    for (const wrong of [{ from: -1 }, { from: Number.NaN }, { from: 0.5 }, { until: 0.5 }, { from: 1 }, { until: -1 }])
      expect(make(wrong)).toMatchObject({ code: 'BAD_ARGUMENT' })
  })

  it('has its size and its levels, and says which of them is wrong', () => {
    const delegation = makeDelegation(crypto, body, server)
    const longer = Uint8Array.of(...delegation, 0)
    expect(about(() => parseDelegation(crypto, longer, root.identity.keys))).toBe('the size of a delegation')
    const record = { chain: bytes(32), seq: 1, hash: bytes(32), level: 'disk', at: 0 } as const
    const given = encodeAcknowledgement(crypto, record, signer)
    given[73] = 4
    expect(about(() => parseAcknowledgement(given))).toBe('the level of an acknowledgement')
    for (const wrong of [{ chain: bytes(31) }, { hash: bytes(33) }])
      expect(about(() => encodeAcknowledgement(crypto, { ...record, ...wrong }, signer))).toMatch('32 bytes')
  })
})
