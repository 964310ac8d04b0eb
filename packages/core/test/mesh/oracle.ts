/**
 * The handshake and the wire a second time, short and slow, from docs/FORMAT.md, section 18: Buffers, node:crypto, no state
 * machine. Only X-Wing, the composite signature and the tagged hash of identities are the library's, which have vectors of
 * their own. `Mischief` makes a server of it that holds keys and lies.
 */
import { createCipheriv, createDecipheriv, createHash, createHmac, hkdfSync } from 'node:crypto'
import { compositeVerifier } from '../../src/crypto/composite.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { CryptoProvider, KemSecret } from '../../src/crypto/provider.ts'
import { xWingEncapsulate, xWingSecret } from '../../src/crypto/x-wing.ts'
import type { Identity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'

const context = (name: string): Buffer => Buffer.from(`ate/1/${name}\0`)
const sha512 = (...parts: Uint8Array[]): Buffer => createHash('sha512').update(Buffer.concat(parts)).digest()
const mac = (key: Uint8Array, data: Uint8Array): Buffer => createHmac('sha256', key).update(data).digest()
const hkdf = (secret: Uint8Array, salt: Uint8Array, info: string, size: number): Buffer =>
  Buffer.from(hkdfSync('sha512', secret, salt, context(info), size))

/** TH(i) of the messages so far. */
function transcript(...messages: readonly Uint8Array[]): Buffer {
  let hash = sha512(context('handshake'))
  for (const message of messages) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(message.length)
    hash = sha512(hash, length, message)
  }
  return hash
}

export function gcmSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

export function gcmOpen(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
}

export interface OracleWireKeys {
  readonly toServer: OracleDirection
  readonly toClient: OracleDirection
  readonly exporter: Buffer
  readonly chain: Buffer
}

/** One direction; both ends use the same code, one to seal and one to open. */
export class OracleDirection {
  key: Buffer
  iv: Buffer
  count = 0n

  constructor(bytes: Buffer) {
    this.key = Buffer.from(bytes.subarray(0, 32))
    this.iv = Buffer.from(bytes.subarray(32, 44))
  }

  nonce(): Buffer {
    const nonce = Buffer.from(this.iv)
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.count++, 4)
    return nonce
  }

  rekey(): void {
    const next = new OracleDirection(hkdf(this.key, new Uint8Array(0), 'wire-rekey', 44))
    this.key = next.key
    this.iv = next.iv
    this.count = 0n
  }
}

function wireKeysOf(next: Uint8Array, hash: Uint8Array): OracleWireKeys {
  const bytes = hkdf(next, hash, 'wire-keys', 152)
  return {
    toServer: new OracleDirection(bytes.subarray(0, 44)),
    toClient: new OracleDirection(bytes.subarray(44, 88)),
    exporter: bytes.subarray(88, 120),
    chain: bytes.subarray(120, 152),
  }
}

/** Keys of both directions, the next chain secret and the confirmation, after an exchange. */
export function oracleExchange(
  chain: Uint8Array,
  shared: Uint8Array,
  offer: Uint8Array,
  answer: Uint8Array,
): Omit<OracleWireKeys, 'exporter'> & { readonly confirmation: Buffer } {
  const bytes = hkdf(Buffer.concat([chain, shared]), sha512(offer, answer), 'wire-exchange', 152)
  return {
    toServer: new OracleDirection(bytes.subarray(0, 44)),
    toClient: new OracleDirection(bytes.subarray(44, 88)),
    chain: bytes.subarray(88, 120),
    confirmation: bytes.subarray(120, 152),
  }
}

export interface Mischief {
  readonly version?: number
  readonly suite?: number
  readonly mode?: number
  /** What is signed instead of the transcript. */
  readonly signed?: (transcript: Uint8Array) => Uint8Array
  readonly body?: (body: Buffer) => Uint8Array
  /** What is sent instead of the body that was signed. */
  readonly sent?: (body: Uint8Array) => Uint8Array
  readonly signature?: (signature: Uint8Array) => Uint8Array
  readonly mac?: (mac: Uint8Array) => Uint8Array
  /** Read instead of the Hello that came. */
  readonly hello?: Uint8Array
}

/** What stands for the signature: the secret of a ticket, and the hash of what was signed when it was made. */
export interface OracleTicket {
  readonly name: Uint8Array
  readonly secret: Uint8Array
  readonly said: Uint8Array
}

export function oracleTicket(exporter: Uint8Array, body: Uint8Array): OracleTicket {
  const bytes = hkdf(exporter, new Uint8Array(0), 'wire-ticket', 64)
  return { name: bytes.subarray(0, 32), secret: bytes.subarray(32), said: createHash('sha256').update(body).digest() }
}

/** A Resumed: no key of the server is needed for it. */
export function oracleResumed(
  hello: Uint8Array,
  ticket: Pick<OracleTicket, 'secret' | 'said'>,
  seed: number,
): OracleServer {
  const { ciphertext, shared } = xWingEncapsulate(nobleProvider, hello.subarray(38, 38 + 1216), seededRandom(seed))!
  const clear = Buffer.concat([Buffer.of(6, 1, 1, 1), Buffer.alloc(32, seed), ciphertext])
  const keys = hkdf(Buffer.concat([shared, ticket.secret]), transcript(hello, clear), 'handshake-keys', 140)
  const serverMac = mac(keys.subarray(44, 76), transcript(hello, clear, ticket.said))
  return {
    reply: Buffer.concat([clear, gcmSeal(keys.subarray(0, 32), keys.subarray(32, 44), serverMac)]),
    finish: finisher(keys, [hello, clear, ticket.said, serverMac]),
  }
}

function finisher(keys: Buffer, said: readonly Uint8Array[]): OracleServer['finish'] {
  return (message) => {
    const isClients = Buffer.concat([Buffer.of(4), mac(keys.subarray(76, 108), transcript(...said))]).equals(message)
    return isClients ? wireKeysOf(keys.subarray(108, 140), transcript(...said, message)) : undefined
  }
}

export interface OracleServer {
  readonly reply: Buffer
  /** The keys, or undefined if the Finish is not the client's. */
  finish(message: Uint8Array): OracleWireKeys | undefined
}

/** `limits` is canonical CBOR: a0 is an empty map. */
export function oracleServer(
  hello: Uint8Array,
  server: {
    readonly identity: Identity
    readonly delegation: Uint8Array
    readonly seed: number
    readonly crypto?: CryptoProvider
  },
  mischief: Mischief = {},
): OracleServer {
  const heard = mischief.hello ?? hello
  const random = seededRandom(server.seed)
  // 1 kind, 2 versions, 2 suites, 1 modes, 32 nonce: then the key.
  const kemKey = heard.subarray(38, 38 + 1216)
  const { ciphertext, shared } = xWingEncapsulate(server.crypto ?? nobleProvider, kemKey, random)!
  const nonce = Buffer.alloc(32, server.seed)
  const { version = 1, suite = 1, mode = 1 } = mischief
  const clear = Buffer.concat([Buffer.of(3, version, suite, mode), nonce, ciphertext])
  const keys = hkdf(shared, transcript(heard, clear), 'handshake-keys', 140)
  const plain = Buffer.concat([server.identity.keys, server.delegation, Buffer.of(0, 1, 0xa0), Buffer.of(0)])
  const signedBody = mischief.body ? mischief.body(plain) : plain
  const toSign = transcript(heard, clear, signedBody)
  const body = mischief.sent ? mischief.sent(signedBody) : signedBody
  const honest = server.identity.sign(mischief.signed ? mischief.signed(toSign) : toSign, 'handshakeServer')
  const signature = mischief.signature ? mischief.signature(honest) : honest
  const honestMac = mac(keys.subarray(44, 76), transcript(heard, clear, body, signature))
  const serverMac = mischief.mac ? mischief.mac(honestMac) : honestMac
  const sealed = gcmSeal(keys.subarray(0, 32), keys.subarray(32, 44), Buffer.concat([body, signature, serverMac]))
  const said = [heard, clear, body, signature, serverMac]
  return {
    reply: Buffer.concat([clear, sealed]),
    finish: finisher(keys, said),
  }
}

export interface OracleClient {
  readonly hello: Buffer
  /** The Finish and the keys, or undefined if the Reply is not the server's. */
  receive(reply: Uint8Array): { readonly finish: Buffer; readonly keys: OracleWireKeys } | undefined
}

export function oracleClient(
  serverKeys: Uint8Array,
  seed: number,
  { crypto = nobleProvider, ticket }: { readonly crypto?: CryptoProvider; readonly ticket?: OracleTicket } = {},
): OracleClient {
  const secret: KemSecret = xWingSecret(crypto, Buffer.alloc(32, seed))
  const hello = Buffer.concat([
    Buffer.of(1, 1, 1, 1, 1, 1),
    ticket?.name ?? Buffer.alloc(32, seed + 1),
    secret.publicKey,
    Buffer.of(0, 0),
  ])
  return {
    hello,
    receive(reply) {
      const clear = reply.subarray(0, 1156)
      if (clear[0] === 6 && ticket) {
        const both = Buffer.concat([secret.decapsulate(clear.subarray(36)), ticket.secret])
        const keys = hkdf(both, transcript(hello, clear), 'handshake-keys', 140)
        const serverMac = gcmOpen(keys.subarray(0, 32), keys.subarray(32, 44), reply.subarray(1156))
        if (!mac(keys.subarray(44, 76), transcript(hello, clear, ticket.said)).equals(serverMac)) return undefined
        return finished(keys, [hello, clear, ticket.said, serverMac])
      }
      const keys = hkdf(secret.decapsulate(clear.subarray(36)), transcript(hello, clear), 'handshake-keys', 140)
      const plain = gcmOpen(keys.subarray(0, 32), keys.subarray(32, 44), reply.subarray(1156))
      const body = plain.subarray(0, -3405)
      const signature = plain.subarray(-3405, -32)
      const serverMac = plain.subarray(-32)
      const verifier = compositeVerifier(crypto, serverKeys.subarray(0, 1984))
      if (!verifier.verify(transcript(hello, clear, body), signature, context('handshake-server'))) return undefined
      if (!mac(keys.subarray(44, 76), transcript(hello, clear, body, signature)).equals(serverMac)) return undefined
      if (!body.subarray(0, 3200).equals(serverKeys)) return undefined
      return finished(keys, [hello, clear, body, signature, serverMac])
    },
  }
}

function finished(keys: Buffer, said: readonly Uint8Array[]): NonNullable<ReturnType<OracleClient['receive']>> {
  const finish = Buffer.concat([Buffer.of(4), mac(keys.subarray(76, 108), transcript(...said))])
  return { finish, keys: wireKeysOf(keys.subarray(108, 140), transcript(...said, finish)) }
}
