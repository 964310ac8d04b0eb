/** Looks over an archive: each object, and in depth each byte of its body, and the whole log. */
import { type Chain, isAteError, type VerifyProblem } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { type ChunkRoom, chunkAt } from './get.ts'
import { newHasher } from './hashing.ts'
import { keyOf } from './keys.ts'
import { type Found, idsOf, loadObject, type Ref } from './objects.ts'
import { SEAL_BYTES } from './sealing.ts'
import { CHUNK_BYTES, IN, NameType } from './worm-records.ts'
import { checkOptionalText } from './worm-rules.ts'

export interface FsckOptions extends CallOptions {
  /** Reads every body and the whole log. */
  readonly deep?: boolean
  readonly prefix?: string
}

/**
 * `altered`: bytes are not those that were put. `missing`: a part is not there. `unlocked`: nothing keeps it as it was put.
 * `log`: of the log itself, with the code and the place.
 */
export type Finding =
  | { readonly ok: true; readonly ref: Exclude<Ref, string> }
  | {
      readonly ok: false
      readonly ref: Exclude<Ref, string>
      readonly problem: 'altered' | 'missing' | 'unlocked'
      readonly code: string
      readonly chunk?: number
    }
  | {
      readonly ok: false
      readonly ref: undefined
      readonly problem: 'log'
      readonly code: string
      readonly at: VerifyProblem
    }

export async function* fsck(context: Context, options: FsckOptions): AsyncGenerator<Finding, void, void> {
  const { chain } = context
  checkOptionalText('prefix', options.prefix)
  const archive = await context.archive(options.signal)
  if (archive === undefined) return
  const rooms = options.deep ? [newRoom(), newRoom()] : []
  // First, since what is read behind it comes from the log and not from memory.
  const report = options.deep ? await chain.verify(options.signal ? { signal: options.signal } : {}) : undefined
  for (const node of chain.children(NameType, archive, IN.names).ids()) {
    options.signal?.throwIfAborted()
    const named = await readName(chain, node)
    if (typeof named !== 'string') yield { ok: false, ref: { name: '?', version: node }, ...named }
    else if (options.prefix === undefined || named.startsWith(options.prefix))
      for (const id of await idsOf(chain, archive, named)) {
        const finding = await look(context, { name: named, version: id }, rooms, options)
        if (finding) yield finding
      }
  }
  for (const at of report?.problems ?? []) yield { ok: false, ref: undefined, problem: 'log', code: at.code, at }
}

type Trouble = { readonly problem: 'altered' | 'missing'; readonly code: string }

async function readName(chain: Chain, node: string): Promise<string | Trouble> {
  try {
    return (await chain.load(NameType, node)).value.name
  } catch (error) {
    return troubleOf(error)
  }
}

/** Undefined for an upload: nobody was told that it is there. */
async function look(
  context: Context,
  ref: Exclude<Ref, string>,
  rooms: readonly ChunkRoom[],
  { deep, signal }: FsckOptions,
): Promise<Finding | undefined> {
  const { chain } = context
  let chunk = 0
  try {
    const found = await loadObject(chain, ref.version)
    if (!found) return undefined
    if (chain.retention(ref.version).lock === undefined)
      return { ok: false, ref, problem: 'unlocked', code: 'NOT_LOCKED' }
    if (!deep) return { ok: true, ref }
    const end = await readWhole(context, found, { rooms, signal }, (index) => {
      chunk = index
    })
    return end === found.manifest.sha256 ? { ok: true, ref } : { ok: false, ref, problem: 'altered', code: 'DAMAGED' }
  } catch (error) {
    signal?.throwIfAborted()
    return { ok: false, ref, ...troubleOf(error), chunk }
  }
}

async function readWhole(
  context: Context,
  found: Found,
  { rooms, signal }: { readonly rooms: readonly ChunkRoom[]; readonly signal: AbortSignal | undefined },
  at: (index: number) => void,
): Promise<string> {
  const { manifest, id } = found
  const hasher = newHasher()
  const key = await keyOf(context, { name: manifest.name, version: id })
  // One is read ahead, into the other room: another thread holds it against the log while this one hashes the body.
  const read = (index: number): Promise<Uint8Array> => {
    const chunk = chunkAt(context.chain, found, index, { key, room: rooms[index % 2]! })
    // Until its turn an error waits.
    chunk.catch(() => undefined)
    return chunk
  }
  let next = manifest.chunks > 0 ? read(0) : undefined
  for (let index = 0; next; index++) {
    signal?.throwIfAborted()
    at(index)
    const chunk = await next
    next = index + 1 < manifest.chunks ? read(index + 1) : undefined
    hasher.update(chunk)
  }
  return hasher.hex()
}

/** For all chunks of all objects, one after the other. */
function newRoom(): ChunkRoom {
  return { box: new Uint8Array(CHUNK_BYTES + SEAL_BYTES), opened: new Uint8Array(CHUNK_BYTES) }
}

/** An error that says nothing of the bytes (a closed chain, a full disk) is one. */
function troubleOf(error: unknown): Trouble {
  if (!isAteError(error)) throw error
  const { code } = error
  if (['KEY_MISSING', 'BODY_DROPPED', 'NOT_FOUND'].includes(code)) return { problem: 'missing', code }
  if (['BAD_BODY', 'DAMAGED', 'BAD_VALUE', 'WRONG_TYPE', 'BAD_ROOT', 'LINK_MISMATCH'].includes(code))
    return { problem: 'altered', code }
  throw error
}
