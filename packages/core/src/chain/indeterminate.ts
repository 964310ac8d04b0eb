/** The error of a commit of which nobody can say any more whether it landed. */
import { AteError } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'

export function indeterminate(
  why: { readonly what: string; readonly closed?: true },
  { nonce, cause }: { readonly nonce?: Uint8Array; readonly cause?: AteError } = {},
): AteError {
  const facts = { ...why, ...(cause ? { code: cause.code } : {}), ...(nonce ? { txId: toBase32(nonce) } : {}) }
  return new AteError('INDETERMINATE', facts, cause ? { cause } : {})
}
