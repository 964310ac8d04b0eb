/**
 * Frozen records of a chain with locks, holds and witnesses (level 4), and what each transaction came to: every later version
 * judges them so. Their bytes never change. `ATE_FREEZE=1` wrote them, once.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { expect, it } from 'vitest'
import { fromBase64, toBase64, utf8 } from '../../src/base/bytes.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { HOLDS } from '../../src/chain/fold-locks.ts'
import { Replica } from '../../src/chain/replica.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { checkpointOrigin } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { cosignatureLine } from '../../src/event/cosignature.ts'
import type { EntityWords } from '../../src/event/entity-words.ts'
import { KIND, OP } from '../../src/event/format.ts'
import { addLines, parseNote } from '../../src/event/note.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import {
  actorOf,
  change,
  create,
  type ForgedEvent,
  type ForgedTransaction,
  Forger,
} from '../../src/testing/chain-kit.ts'

interface Frozen {
  /** Bytes and record hash, base64. */
  readonly records: readonly { readonly bytes: string; readonly hash: string }[]
  /** Of each record the codes of its transactions, `committed` where there is none. */
  readonly outcomes: readonly (readonly string[])[]
  readonly provenAt: number
}

const file = new URL('../vectors/level-4.json', import.meta.url)

function outcomesOf(accepted: ReturnType<Replica['accept']>): string[] {
  return (accepted.outcomes ?? []).map((outcome) => outcome?.code ?? 'committed')
}

function freeze(crypto: CryptoProvider): Frozen {
  const root = actorOf(crypto, 'root')
  const chain = new Forger({ crypto, roots: [root] })
  const boss = chain.session(root)
  const outcomes: string[][] = [[]]
  const write = (...events: ForgedEvent[]): ForgedTransaction => {
    const tx = chain.tx(...events)
    outcomes.push(outcomesOf(chain.write(boss, [tx])))
    return tx
  }
  const signers = ['w1', 'w2', 'w3'].map((name) => ({ name, key: crypto.ed25519Signer(crypto.sha256(utf8(name))) }))
  const keys = signers.map(({ name, key }) => ({ name, key: key.publicKey }))
  const cosigned = (count: number, at: number): void => {
    const { tree } = chain.replica
    const checkpoint = { origin: checkpointOrigin(chainIdOf(chain.chainId)), size: tree.size, root: tree.root() }
    const note = encodeCheckpoint(crypto, checkpoint, chain.checkpointSigner)
    const parsed = parseNote(note)
    const lines = signers
      .slice(0, count)
      .map(({ name, key }) => cosignatureLine(crypto, parsed, { name, key, seconds: at }))
    chain.feed(chain.other(KIND.checkpoint, addLines(note, lines)))
    outcomes.push([])
  }
  const made = (tx: ForgedTransaction): EntityWords => chain.idOf(root, tx)
  const shelf = made(write(create({ collection: 's', rare: { witnesses: { keys, quorum: 2 } } })))
  const kept = made(write(create({ parent: shelf, collection: 'c', body: chain.body() })))
  const part = made(write(create({ parent: kept, collection: 'p', body: chain.body() })))
  const until = chain.time + 10_000
  write(change(OP.retain, kept, { rare: { lock: 'governance', retain: until, digest: crypto.sha256(utf8('x')) } }))
  const hold = made(write(create({ parent: kept, collection: HOLDS, body: chain.body() })))
  write(change(OP.delete, part, { rare: { bypass: 'governance' } }))
  write(change(OP.put, kept, { body: chain.body() }))
  write(create({ parent: kept, collection: 'p' }))
  write(create({ parent: shelf, collection: HOLDS }))
  write(change(OP.retain, kept, { rare: { lock: 'compliance' } }))
  write(change(OP.retain, kept, { rare: { lock: 'governance' } }))
  write(change(OP.delete, hold))
  write(change(OP.delete, part))
  chain.time = until
  cosigned(1, Math.ceil(until / 1000))
  write(change(OP.delete, part))
  cosigned(2, Math.ceil(until / 1000))
  write(change(OP.delete, part), change(OP.delete, kept))
  const records = chain.records.map(({ bytes, hash }) => ({ bytes: toBase64(bytes), hash: toBase64(hash) }))
  return { records, outcomes, provenAt: chain.replica.view.witnesses.provenAt(0) }
}

if (process.env['ATE_FREEZE'] === '1' && !existsSync(file))
  writeFileSync(file, `${JSON.stringify(freeze(nodeProvider()), undefined, 1)}\n`)

it.each([nodeProvider(), nobleProvider])('locks are judged as they always were ($name)', (crypto) => {
  const frozen = JSON.parse(readFileSync(file, 'utf8')) as Frozen
  const records = frozen.records.map(
    ({ bytes, hash }, seq): LogRecord => ({ seq, bytes: fromBase64(bytes)!, hash: fromBase64(hash)! }),
  )
  const replica = Replica.open({ crypto, seed: 3 }, records[0]!)
  const outcomes = [[], ...records.slice(1).map((record) => outcomesOf(replica.accept(record)))]
  expect(outcomes).toEqual(frozen.outcomes)
  expect(outcomes.flat().filter((code) => code !== 'committed')).toEqual([
    'RETAINED',
    'RETAINED',
    'WRITE_ONCE',
    'RESERVED_NAME',
    'RETAIN_SHRINKS',
    'RETAINED',
    'TIME_UNPROVEN',
  ])
  expect([replica.view.witnesses.provenAt(0), frozen.provenAt]).toEqual([1_010_000, 1_010_000])
})
