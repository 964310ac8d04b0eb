/**
 * Entity ids inside: four signed 32-bit numbers (small integers to the engine, so that no number is boxed), compared and
 * hashed without making text or objects.
 */
import { type EntityId, entityIdOfWords, parseId } from '../base/ids.ts'
import type { ByteReader, ByteWriter } from '../codec/writer.ts'

export class EntityWords {
  readonly a: number
  readonly b: number
  readonly c: number
  readonly d: number

  constructor(a: number, b: number, c: number, d: number) {
    this.a = a
    this.b = b
    this.c = c
    this.d = d
  }
}

/** The root of every chain's tree: the entity whose id is zero. */
export const ROOT_ENTITY: EntityWords = new EntityWords(0, 0, 0, 0)

export function sameEntity(x: EntityWords, y: EntityWords): boolean {
  return x.a === y.a && x.b === y.b && x.c === y.c && x.d === y.d
}

/** The id as a key of a map of few entries. */
export function entityKey({ a, b, c, d }: EntityWords): string {
  return `${a},${b},${c},${d}`
}

export function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
}

export function wordsOf(bytes: Uint8Array, at = 0): EntityWords {
  return new EntityWords(wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12))
}

export function bytesOfWords(words: EntityWords): Uint8Array {
  const bytes = new Uint8Array(16)
  putWord(bytes, 0, words.a)
  putWord(bytes, 4, words.b)
  putWord(bytes, 8, words.c)
  putWord(bytes, 12, words.d)
  return bytes
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24
  bytes[at + 1] = word >>> 16
  bytes[at + 2] = word >>> 8
  bytes[at + 3] = word
}

export function textOfWords({ a, b, c, d }: EntityWords): EntityId {
  return entityIdOfWords(a, b, c, d)
}

/** @throws AteError BAD_ID */
export function parseEntityId(text: string): EntityWords {
  return wordsOf(parseId(text, 'entity'))
}

export function writeWords(out: ByteWriter, words: EntityWords): void {
  out.u32(words.a)
  out.u32(words.b)
  out.u32(words.c)
  out.u32(words.d)
}

export function readWords(input: ByteReader): EntityWords {
  return wordsOf(input.buffer, input.take(16))
}
