/** Bodies as they come, in chunks of one size but for the last. Memory holds the chunks that are in use and one piece of the source. */
import { AteError, isWellFormed } from '@ate/core'

export type Body = Uint8Array | string | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * Copies what is given, so that what the caller does to it later changes nothing. A chunk that is put into `spare` is used
 * again: new memory for each would cost more than sealing what it holds. @throws AteError BAD_ARGUMENT
 */
export async function* chunksOf(
  body: Body,
  chunkBytes: number,
  { spare = [], signal }: { readonly spare?: Uint8Array[]; readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Uint8Array> {
  const next = (): Uint8Array => spare.pop() ?? new Uint8Array(chunkBytes)
  let chunk = next()
  let filled = 0
  for await (const piece of piecesOf(body)) {
    signal?.throwIfAborted()
    for (let from = 0; from < piece.length; ) {
      const size = Math.min(piece.length - from, chunkBytes - filled)
      chunk.set(piece.subarray(from, from + size), filled)
      filled += size
      from += size
      if (filled < chunkBytes) continue
      yield chunk
      chunk = next()
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}

export async function* piecesOf(body: Body): AsyncGenerator<Uint8Array> {
  if (typeof body === 'string') yield utf8Of(body)
  else if (body instanceof Uint8Array) yield body
  else if (body instanceof Blob) yield* piecesOf(body.stream())
  else if (body instanceof ReadableStream) yield* readAll(body)
  else if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) {
    for await (const piece of body) yield bytesOf(piece)
  } else throw badBody()
}

/** Not every browser lets one iterate over a stream. */
async function* readAll(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader()
  let done = false
  try {
    for (;;) {
      const next = await reader.read()
      done = next.done
      if (next.done) return
      yield bytesOf(next.value)
    }
  } finally {
    // Whoever stops early lets go of the source; what it says to that is of no interest.
    if (!done) await reader.cancel().catch(() => undefined)
    reader.releaseLock()
  }
}

/** Half a character has no bytes: TextEncoder would store another one. */
function utf8Of(text: string): Uint8Array {
  if (!isWellFormed(text)) throw new AteError('BAD_ARGUMENT', { what: 'text with half a character; give bytes' })
  return new TextEncoder().encode(text)
}

function bytesOf(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece
  throw badBody()
}

function badBody(): AteError {
  return new AteError('BAD_ARGUMENT', { what: 'a body is bytes, text, a Blob, or a stream of bytes' })
}
