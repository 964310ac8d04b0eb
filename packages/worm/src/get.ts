/** Reading. Each chunk is compared with the hash that the verified log has of it before a byte of it is given out. */
import { AteError, type Chain } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { newHasher } from './hashing.ts'
import { keyOf } from './keys.ts'
import type { Manifest } from './manifest.ts'
import { type Found, find, type Ref, type Stored, storedOf } from './objects.ts'
import { type ObjectKey, openChunk, SEAL_BYTES } from './sealing.ts'
import { CHUNK_BYTES, ChunkType, IN } from './worm-records.ts'
import { rangeOf } from './worm-rules.ts'

export interface GetOptions extends CallOptions {
  /** First and last byte, both included, from 0; up to the end if the last is left out. */
  readonly range?: readonly [bigint | number, (bigint | number)?]
}

export type Opened = Stored & { readonly body: ReadableStream<Uint8Array> }

/** @throws AteError NOT_FOUND | BAD_ARGUMENT | KEY_MISSING | NO_READ_KEY; the stream fails with DAMAGED | BAD_BODY */
export async function get(context: Context, ref: Ref, options: GetOptions): Promise<Opened> {
  const { chain } = context
  const found = await find(context, ref, options.signal)
  const stored = await storedOf(chain, found)
  const range = rangeOf(options.range, stored.size)
  const key = await keyOf(context, { name: found.manifest.name, version: found.id })
  const pieces = read(chain, found, { range, key }, options.signal)
  // Nothing is read ahead: memory holds the chunk that is asked for.
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next()
        if (next.done) controller.close()
        else controller.enqueue(next.value)
      },
      async cancel() {
        await pieces.return()
      },
    },
    { highWaterMark: 0 },
  )
  return { ...stored, body }
}

interface Reading {
  readonly range: { readonly from: bigint; readonly to: bigint }
  readonly key: ObjectKey | undefined
}

/** A body that is read whole is held against its digest as well. */
async function* read(
  chain: Chain,
  { id, manifest }: Found,
  { range: { from, to }, key }: Reading,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const size = BigInt(manifest.size)
  const chunkBytes = BigInt(manifest.chunkBytes)
  const hasher = from === 0n && to === size - 1n ? newHasher() : undefined
  const box = key && new Uint8Array(Math.min(Number(manifest.size), CHUNK_BYTES) + SEAL_BYTES)
  for (let index = Number(from / chunkBytes); size > 0n && BigInt(index) * chunkBytes <= to; index++) {
    signal?.throwIfAborted()
    const chunk = await chunkAt(chain, { id, manifest }, index, { key, room: { box } })
    hasher?.update(chunk)
    const start = BigInt(index) * chunkBytes
    const first = from > start ? Number(from - start) : 0
    const last = to - start < chunkBytes ? Number(to - start) + 1 : chunk.length
    const isLast = start + BigInt(chunk.length) === size
    if (isLast && hasher && hasher.hex() !== manifest.sha256) throw damaged(manifest.name, id, index)
    yield chunk.subarray(first, last)
  }
}

/** Memory for one chunk at a time, which is used again: new memory for each would cost more than opening it. */
export interface ChunkRoom {
  readonly box?: Uint8Array | undefined
  /** Left out: who is given the chunk keeps it. */
  readonly opened?: Uint8Array | undefined
}

/** One chunk, verified and opened. @throws AteError DAMAGED | BAD_BODY */
export async function chunkAt(
  chain: Chain,
  { id, manifest }: { readonly id: string; readonly manifest: Manifest },
  index: number,
  { key, room = {} }: { readonly key: ObjectKey | undefined; readonly room?: ChunkRoom },
): Promise<Uint8Array> {
  const into = key ? room.box : room.opened
  // Once: who reads a body may change what he is given, and nobody else must see that.
  const place = { parent: id, in: IN.chunks, use: 'once', ...(into ? { into } : {}) } as const
  const entity = await chain.named(ChunkType, String(index), place)
  const left = BigInt(manifest.size) - BigInt(index) * BigInt(manifest.chunkBytes)
  const size = left < BigInt(manifest.chunkBytes) ? Number(left) : manifest.chunkBytes
  if (!entity || entity.value.length !== size + (key ? SEAL_BYTES : 0)) throw damaged(manifest.name, id, index)
  return key ? openChunk(key, index, entity.value, room.opened) : entity.value
}

function damaged(name: string, version: string, chunk: number): AteError {
  return new AteError('DAMAGED', { name, version, chunk, what: 'the body is not the one that was put' })
}
