/**
 * What carries frames after a handshake: one end of a connection, as a pure state machine over messages that arrive once and in
 * order. A frame is the AES-256-GCM ciphertext of its plaintext and the tag, nothing else: key and nonce are known on both
 * sides from what went before (docs/FORMAT.md, section 18). Any failure is final: the end is dead, its keys are wiped.
 *
 *   frame = ciphertext n | tag 16          nonce = IV XOR u64 count of frames under this key
 *
 * A key is followed by another after 2^20 frames or 4 GiB of plaintext, by itself. What a thief of keys knows ends with an
 * exchange: the client's offer, the server's answer, the client's word that it is done. The owner of the connection seals
 * each of the three in a frame of its own, with what it likes before it, and that is the last frame of its direction under
 * the old keys:
 *   client: seal(rekeyOffer()) .................................. m = rekeyDone(answer), seal(m)   [sends with new keys]
 *   server: .................... m = rekeyAnswer(offer), seal(m) [sends with new keys] ........... rekeyEnd(done)
 * Each reads with new keys from the call on that took the other's message, so it calls before it opens the next frame.
 */
import { equalBytes, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { WIRE_KEY_BYTES_MAX, WIRE_KEY_FRAMES_MAX, WIRE_PLAINTEXT_BYTES_MAX } from '../base/limits.ts'
import type { CryptoProvider, KemSecret } from '../crypto/provider.ts'
import { AES_TAG_BYTES } from '../crypto/sizes.ts'
import {
  XWING_CIPHERTEXT_BYTES,
  XWING_PUBLIC_BYTES,
  XWING_SECRET_BYTES,
  xWingEncapsulate,
  xWingSecret,
} from '../crypto/x-wing.ts'
import type { WireMode } from './handshake-format.ts'
import { type DirectionKey, exchangedKeys, nextDirectionKey, type WireKeys } from './handshake-keys.ts'

export type WireRole = 'client' | 'server'

export interface Wire {
  /** `plain` seals nothing: loopback only, where both sides allowed it. */
  readonly mode: WireMode
  /** 32 bytes that only the two ends of this handshake know: what sessions sign. It stays the same. */
  readonly exporter: Uint8Array
  /** At most 1 MiB and 4 KiB. The frames must arrive in the order of the calls. @throws AteError WIRE_BROKEN */
  seal(plaintext: Uint8Array): Uint8Array
  /** @throws AteError WIRE_BROKEN, now and from every later call */
  open(frame: Uint8Array): Uint8Array
  /** Of the client: begins an exchange, one at a time. The owner calls it after each hour of use. */
  rekeyOffer(): Uint8Array
  /** Of the server. The very next frame that is sealed ends with the answer. @throws AteError WIRE_BROKEN */
  rekeyAnswer(offer: Uint8Array): Uint8Array
  /** Of the client. The very next frame that is sealed ends with what it gives. @throws AteError WIRE_BROKEN */
  rekeyDone(answer: Uint8Array): Uint8Array
  /** Of the server. @throws AteError WIRE_BROKEN */
  rekeyEnd(done: Uint8Array): void
  /** Wipes the keys; later calls throw WIRE_BROKEN. */
  close(): void
}

export interface WireOptions {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  readonly role: WireRole
  readonly mode: WireMode
  /** Taken over, and wiped at the end. */
  readonly keys: WireKeys
  /** For tests. */
  readonly keyFramesMax?: number
  readonly keyBytesMax?: number
}

export function createWire(options: WireOptions): Wire {
  return new KeyedWire(options)
}

interface KeyLimits {
  readonly frames: number
  readonly bytes: number
}

/** One direction: its key, and how much went under it. Both ends count alike. */
class Direction {
  readonly #crypto: CryptoProvider
  readonly #limits: KeyLimits
  readonly #nonce = new Uint8Array(12)
  readonly #nonceView = new DataView(this.#nonce.buffer)
  #key: DirectionKey
  #aes: ReturnType<CryptoProvider['aesKey']>
  #ivLow: number
  #frames = 0
  #bytes = 0

  constructor(crypto: CryptoProvider, limits: KeyLimits, key: DirectionKey) {
    this.#crypto = crypto
    this.#limits = limits
    this.#key = key
    this.#aes = crypto.aesKey(key.key)
    this.#ivLow = this.#useIv(key.iv)
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const nonce = this.#advance(plaintext.length) // may bring another key: before the key is looked at
    const { ciphertext, tag } = this.#aes.seal(nonce, plaintext)
    const frame = new Uint8Array(ciphertext.length + AES_TAG_BYTES)
    frame.set(ciphertext)
    frame.set(tag, ciphertext.length)
    return frame
  }

  open(frame: Uint8Array): Uint8Array | undefined {
    const tagAt = frame.length - AES_TAG_BYTES
    const nonce = this.#advance(tagAt)
    return this.#aes.open(nonce, frame.subarray(0, tagAt), frame.subarray(tagAt))
  }

  /** New keys; the old ones are wiped. */
  replace(key: DirectionKey): void {
    this.wipe()
    this.#key = key
    this.#aes = this.#crypto.aesKey(key.key)
    this.#ivLow = this.#useIv(key.iv)
    this.#frames = 0
    this.#bytes = 0
  }

  wipe(): void {
    this.#aes.wipe?.()
    wipe(this.#key.key)
    wipe(this.#key.iv)
    wipe(this.#nonce)
  }

  /** The nonce of the next frame: never the same twice under one key. */
  #advance(size: number): Uint8Array {
    if (this.#frames >= this.#limits.frames || (this.#frames > 0 && this.#bytes + size > this.#limits.bytes))
      this.replace(nextDirectionKey(this.#crypto, this.#key))
    // A count is below 2^32, so the high half of the u64 changes nothing.
    this.#nonceView.setUint32(8, (this.#ivLow ^ this.#frames) >>> 0)
    this.#frames++
    this.#bytes += size
    return this.#nonce
  }

  #useIv(iv: Uint8Array): number {
    this.#nonce.set(iv)
    return this.#nonceView.getUint32(8)
  }
}

/** Where an exchange stands at this end; secrets of the next step with it. */
type Exchange =
  | { readonly at: 'rest' }
  | { readonly at: 'offered'; readonly offer: Uint8Array; readonly secret: KemSecret }
  | { readonly at: 'answered'; readonly receive: DirectionKey; readonly confirmation: Uint8Array }

const REST: Exchange = { at: 'rest' }
const NOTHING = new Uint8Array(0)

class KeyedWire implements Wire {
  readonly mode: WireMode
  readonly #options: WireOptions
  readonly #exporter: Uint8Array
  readonly #send: Direction
  readonly #receive: Direction
  #chain: Uint8Array
  #exchange: Exchange = REST
  /** The message that the next frame carries, and the key of the frames behind it. */
  #turn: { readonly message: Uint8Array; readonly key: DirectionKey } | undefined
  #isOver = false

  constructor(options: WireOptions) {
    const { crypto, keys, keyFramesMax = WIRE_KEY_FRAMES_MAX, keyBytesMax = WIRE_KEY_BYTES_MAX } = options
    assert(keyFramesMax >= 1 && keyFramesMax < 2 ** 32, 'frames of a key are counted in 32 bits')
    const limits = { frames: keyFramesMax, bytes: keyBytesMax }
    this.#options = options
    this.mode = options.mode
    this.#exporter = keys.exporter
    this.#chain = keys.chain
    const mine = this.#mine(keys)
    this.#send = new Direction(crypto, limits, mine.send)
    this.#receive = new Direction(crypto, limits, mine.receive)
  }

  /** Not of a wire that is over: a proof for zeros would be good for every other one. */
  get exporter(): Uint8Array {
    this.#assertAlive()
    return this.#exporter
  }

  seal(plaintext: Uint8Array): Uint8Array {
    this.#assertAlive()
    assert(plaintext.length <= WIRE_PLAINTEXT_BYTES_MAX, 'a frame holds at most 1 MiB and 4 KiB')
    const turn = this.#turn
    if (turn) assertCarries(plaintext, turn.message)
    const frame = this.mode === 'plain' ? plaintext.slice() : this.#send.seal(plaintext)
    if (turn) {
      this.#turn = undefined
      this.#send.replace(turn.key)
    }
    return frame
  }

  open(frame: Uint8Array): Uint8Array {
    this.#assertAlive()
    const overhead = this.mode === 'plain' ? 0 : AES_TAG_BYTES
    if (frame.length < overhead || frame.length > WIRE_PLAINTEXT_BYTES_MAX + overhead) throw this.#broken('size')
    if (this.mode === 'plain') return frame.slice()
    const plaintext = this.#receive.open(frame)
    if (!plaintext) throw this.#broken('tag')
    return plaintext
  }

  rekeyOffer(): Uint8Array {
    this.#assertAlive()
    const { crypto, random, role } = this.#options
    assert(role === 'client' && this.#exchange.at === 'rest' && !this.#turn, 'a client offers one exchange at a time')
    const seed = randomBytes(random, XWING_SECRET_BYTES)
    const secret = xWingSecret(crypto, seed)
    wipe(seed)
    this.#exchange = { at: 'offered', offer: secret.publicKey, secret }
    return secret.publicKey.slice()
  }

  rekeyAnswer(offer: Uint8Array): Uint8Array {
    this.#assertAlive()
    const { crypto, random, role } = this.#options
    if (role !== 'server' || this.#exchange.at !== 'rest' || offer.length !== XWING_PUBLIC_BYTES)
      throw this.#broken('an offer out of turn')
    assert(!this.#turn, 'the answer before was sealed')
    const encapsulation = xWingEncapsulate(crypto, offer, random)
    if (!encapsulation) throw this.#broken('the key of an offer')
    const { ciphertext: answer, shared } = encapsulation
    const next = exchangedKeys(crypto, { chain: this.#chain, shared }, { offer, answer })
    this.#chain = next.chain
    this.#turn = { message: answer, key: next.toClient }
    this.#exchange = { at: 'answered', receive: next.toServer, confirmation: next.confirmation }
    return answer.slice()
  }

  rekeyDone(answer: Uint8Array): Uint8Array {
    this.#assertAlive()
    const exchange = this.#exchange
    if (exchange.at !== 'offered' || answer.length !== XWING_CIPHERTEXT_BYTES)
      throw this.#broken('an answer out of turn')
    const shared = exchange.secret.decapsulate(answer)
    const messages = { offer: exchange.offer, answer }
    const next = exchangedKeys(this.#options.crypto, { chain: this.#chain, shared }, messages)
    this.#chain = next.chain
    this.#exchange = REST
    this.#receive.replace(next.toClient)
    this.#turn = { message: next.confirmation, key: next.toServer }
    return next.confirmation.slice()
  }

  rekeyEnd(done: Uint8Array): void {
    this.#assertAlive()
    const exchange = this.#exchange
    if (exchange.at !== 'answered' || this.#turn || !equalBytes(done, exchange.confirmation))
      throw this.#broken('the end of an exchange out of turn')
    wipe(exchange.confirmation)
    this.#exchange = REST
    this.#receive.replace(exchange.receive)
  }

  close(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#send.wipe()
    this.#receive.wipe()
    for (const secret of [this.#chain, this.#exporter, this.#turn?.key.key, this.#turn?.key.iv]) wipe(secret ?? NOTHING)
    if (this.#exchange.at === 'answered') {
      wipe(this.#exchange.receive.key)
      wipe(this.#exchange.confirmation)
    }
    this.#exchange = REST
    this.#turn = undefined
  }

  #mine(keys: Pick<WireKeys, 'toServer' | 'toClient'>): {
    readonly send: DirectionKey
    readonly receive: DirectionKey
  } {
    return this.#options.role === 'client'
      ? { send: keys.toServer, receive: keys.toClient }
      : { send: keys.toClient, receive: keys.toServer }
  }

  #assertAlive(): void {
    if (this.#isOver) throw new AteError('WIRE_BROKEN', { what: 'the wire is over' })
  }

  #broken(what: string): AteError {
    this.close()
    return new AteError('WIRE_BROKEN', { what })
  }
}

/** The other end turns to the new keys behind the frame that carries the message: another frame here would be lost. */
function assertCarries(plaintext: Uint8Array, message: Uint8Array): void {
  const from = plaintext.length - message.length
  assert(
    from >= 0 && equalBytes(plaintext.subarray(from), message),
    'the next frame carries the message of the exchange',
  )
}
