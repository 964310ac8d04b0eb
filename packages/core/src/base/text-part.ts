/** Node's reader of a part of bytes as text, which makes no view of them: `#text-part`. For pages it is text-nothing.ts. */

interface MaybeNode {
  readonly Buffer?: { readonly prototype: { utf8Slice?(this: Uint8Array, from: number, to: number): string } }
}

/** Absent where there is no Node. */
const utf8Slice = (globalThis as MaybeNode).Buffer?.prototype.utf8Slice
/** Only if it is the one that is meant: it keeps a byte order mark, and replaces what is malformed. */
const readPart: typeof utf8Slice =
  utf8Slice?.call(Uint8Array.of(0xef, 0xbb, 0xbf, 0xc0), 0, 4) === '\ufeff\ufffd' ? utf8Slice : undefined

/** As fromUtf8, of `bytes[from..to)`; undefined where that has to say what it is: of a text that is malformed, or may be. */
export const textPart: ((bytes: Uint8Array, from: number, to: number) => string | undefined) | undefined =
  readPart &&
  ((bytes, from, to) => {
    const text = readPart.call(bytes, from, to)
    return text.includes('\ufffd') ? undefined : text
  })
