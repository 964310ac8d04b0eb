/** Values of CBOR that was checked, by cbor-x: the class alone, from its entry without the native addon. */
import { Decoder, type Options } from 'cbor-x/decode'
import { AteError, isAteError } from '../base/errors.ts'

/**
 * Integers of eight bytes are numbers, since the check has bounded them; byte strings are copies, so that a small one does
 * not hold a whole block.
 */
const options: Options & { readonly int64AsNumber: boolean } = {
  useRecords: false,
  mapsAsObjects: true,
  copyBuffers: true,
  int64AsNumber: true,
}
const decoder = new Decoder(options)

/**
 * What the check has called exact: what this decoder and the plain one give the same value for. Of a view that is the caller's
 * own, and no Buffer. @throws AteError BAD_CBOR
 */
export function decodeExact(view: Uint8Array): unknown {
  try {
    return decoder.decode(view)
  } catch (cause) {
    throw isAteError(cause) ? cause : new AteError('BAD_CBOR', { at: 0, what: 'the decoder refused it' }, { cause })
  }
}
