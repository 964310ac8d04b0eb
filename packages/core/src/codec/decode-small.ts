/** The decoder of a browser: the plain one, which is there anyway. The fast one is 15 kB of code. */
export { readCheckedCbor as decodeExact } from './cbor-plain.ts'
