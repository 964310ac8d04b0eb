/** What puts have begun and not ended: nobody sees it, and nothing keeps it. */
import { type Entity, isAteError } from '@ate/core'
import type { CallOptions, Context } from './context.ts'
import { readName } from './objects.ts'
import { ChunkType, IN, KeyType, NameType, type ObjectRecord, ObjectType } from './worm-records.ts'
import { checkSeq } from './worm-rules.ts'

export interface Upload {
  readonly name: string
  readonly version: string
  readonly chunks: number
  /** Seq of the record that began it. */
  readonly seq: number
}

export async function* uploads(context: Context, options: CallOptions): AsyncGenerator<Upload, void, void> {
  const { chain } = context
  const archive = await context.archive(options.signal)
  if (archive === undefined) return
  for (const node of chain.children(NameType, archive, IN.names).ids()) {
    options.signal?.throwIfAborted()
    const named = await readName(chain, node)
    for (const id of chain.children(ObjectType, node, IN.versions).ids()) {
      const object = await readUpload(chain, id)
      if (!named || !object || object.value.manifest !== undefined) continue
      const chunks = chain.children(ChunkType, id, IN.chunks).count()
      yield { name: named.value.name, version: id, chunks, seq: chain.seqOf(id) }
    }
  }
}

/** Undefined for what is gone, and for what a writer has made that is no object. */
async function readUpload(chain: Context['chain'], id: string): Promise<Entity<ObjectRecord> | undefined> {
  try {
    return await chain.get(ObjectType, id)
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_VALUE') return undefined
    throw error
  }
}

/** Deletions of one transaction: its record has 960 KiB. Tests lower it. */
export const limits = { deletions: 20_000 }

/** Drops uploads that were begun before record `before`. The number of them. */
export async function dropUploads(
  context: Context,
  options: CallOptions & { readonly before: number },
): Promise<number> {
  // Without a number all of them would be before it.
  const before = checkSeq('before', options?.before)
  let dropped = 0
  for await (const { version, seq } of uploads(context, options)) {
    if (seq >= before) continue
    await dropUpload(context, version)
    dropped++
  }
  return dropped
}

/** With its key, if it is of a subject; in steps, if it is very large. */
export async function dropUpload({ chain }: Context, version: string): Promise<void> {
  for (let isLeft = true; isLeft; ) {
    isLeft = await chain.transact(async (tx) => {
      // One that is committed meanwhile is no upload any more: the lock refuses what follows, too.
      const object = await tx.get(ObjectType, version)
      if (!object || object.value.manifest !== undefined) return false
      const chunks = chain.children(ChunkType, version, IN.chunks).ids()
      for (const chunk of chunks.slice(0, limits.deletions)) tx.delete(chunk)
      for (const key of chain.children(KeyType, version, IN.key).ids()) tx.shred(key)
      if (chunks.length <= limits.deletions) tx.delete(version)
      return chunks.length > limits.deletions
    })
  }
}
