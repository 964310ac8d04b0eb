/** Snapshots in memory, and a replica as text that shows every field that it has, whoever added it. */
import { concatBytes, toHex } from '../../src/base/bytes.ts'
import { RecordHashes } from '../../src/chain/record-hashes.ts'
import { RecordPrints } from '../../src/chain/record-prints.ts'
import { Replica } from '../../src/chain/replica.ts'
import { SealedSnapshot, type SnapshotMakers, snapshotParts } from '../../src/chain/snapshot-file.ts'
import { TreeFrontier } from '../../src/crypto/merkle.ts'
import type { LogRecord, StoredSnapshot } from '../../src/log/engine.ts'
import type { Role } from '../../src/trust/policy.ts'
import { ChildLists } from '../../src/view/child-lists.ts'
import { EntityTable } from '../../src/view/entity-table.ts'
import { Names } from '../../src/view/names.ts'
import { crypto } from './kit.ts'

export const MAKERS: SnapshotMakers = {
  crypto,
  key: new Uint8Array(32).fill(7),
  pause: () => Promise.resolve(),
}

export async function snapshotOf(replica: Replica, makers: SnapshotMakers = MAKERS, logBytes = 0): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of snapshotParts(makers, replica, logBytes)) parts.push(part.slice())
  return concatBytes(...parts)
}

export function stored(bytes: Uint8Array): StoredSnapshot {
  return {
    sizeBytes: bytes.length,
    read(target, at) {
      const part = bytes.subarray(at, at + target.length)
      target.set(part)
      return part.length
    },
    close: () => undefined,
  }
}

export async function resumed(
  bytes: Uint8Array,
  genesis: LogRecord,
  { seed = 4711, makers = MAKERS }: { readonly seed?: number; readonly makers?: SnapshotMakers } = {},
): Promise<Replica> {
  const sealed = await SealedSnapshot.open(makers, stored(bytes))
  return Replica.resume({ crypto, seed }, genesis, await sealed.state(seed))
}

/** All of a replica, in the order in which it stands in memory. Fields are found, not listed. */
export function deepText(replica: Replica): string {
  return JSON.stringify(new Walk().of(replica), undefined, 1)
}

/** What is the same for all replicas of a chain, or says nothing of what was folded. */
const LEFT_OUT = new Set(['crypto', 'verifier', 'signatures'])

class Walk {
  /** Roles change in place: whether two places name one or two of the same content matters. */
  readonly #roles = new Map<Role, number>()

  of(value: unknown): unknown {
    if (typeof value === 'bigint') return `${value}n`
    if (typeof value !== 'object' || value === null) return value
    if (value instanceof Uint8Array || value instanceof Uint32Array || value instanceof Int32Array) return hex(value)
    if (value instanceof EntityTable) return [...value.chunkBytes()].map(hex)
    if (value instanceof Names) return value.texts
    if (value instanceof RecordHashes) return [...value.pieces()].map(hex)
    if (value instanceof RecordPrints) return [...value.entries()].map(([seq, print]) => [seq, hex(print)])
    if (value instanceof TreeFrontier) return hex(value.save())
    if (value instanceof ChildLists) return this.#lists(value)
    if (value instanceof Map) return [...value].map(([key, item]) => [this.of(key), this.of(item)])
    if (value instanceof Set || Array.isArray(value)) return [...value].map((item) => this.of(item))
    return this.#fields(value)
  }

  #fields(value: object): unknown {
    const role = value as Role
    if ('generations' in value) {
      const known = this.#roles.get(role)
      if (known !== undefined) return `role ${known}`
      this.#roles.set(role, this.#roles.size)
    }
    const fields = Object.entries(value).filter(([name, item]) => !LEFT_OUT.has(name) && item !== undefined)
    return Object.fromEntries(fields.sort(byName).map(([name, item]) => [name, this.of(inOrder(name, item))]))
  }

  #lists(lists: ChildLists): unknown {
    return [...lists.all()].map((list) => ({
      ...list,
      items: hex(list.items.subarray(0, list.length)),
      loose: lists.loose.has(list),
    }))
  }
}

function hex({ buffer, byteOffset, byteLength }: ArrayBufferView): string {
  return toHex(new Uint8Array(buffer, byteOffset, byteLength))
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

/** What is derived is looked up only: the order in which it came is lost, and nobody asks for it. */
function inOrder(name: string, item: unknown): unknown {
  return name === 'personOfKey' ? new Map([...(item as Map<string, unknown>)].sort(byName)) : item
}
