/**
 * Proofs by somebody who holds a checkpoint key and signs whatever he likes: then nothing but the checks of the commit, its
 * certificate and its attestation stand between him and another's name.
 */
import { describe, expect, it } from 'vitest'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { chainIdOf } from '../../src/base/ids.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { leafHash, treeRoot } from '../../src/crypto/merkle.ts'
import type { Proof } from '../../src/data/proof-format.ts'
import { type ProvenRecord, verifyProof } from '../../src/data/verify-proof.ts'
import { encodeAttestation } from '../../src/event/attestation.ts'
import { makeCertificate } from '../../src/event/certificate.ts'
import { checkpointOrigin } from '../../src/event/checkpoint.ts'
import { encodeCheckpoint } from '../../src/event/checkpoint-encode.ts'
import { KIND } from '../../src/event/format.ts'
import { encodeParameters, hashParameters } from '../../src/event/genesis.ts'
import { parseNote } from '../../src/event/note.ts'
import { hashCommitHead, hashCommitPayload, hashRecordHead, NO_HASH, writeRecordHead } from '../../src/event/record.ts'
import { rememberingProvider } from '../../src/testing/chain-kit.ts'
import { refusal } from './corrupt.ts'
import { crypto, person } from './kit.ts'

const verifier = { crypto: rememberingProvider(crypto) }
const [alice, bob] = [person('alice'), person('bob')]
const session = crypto.ed25519Signer(new Uint8Array(32).fill(1))
const stranger = crypto.ed25519Signer(new Uint8Array(32).fill(2))
const other = new Uint8Array(32).fill(9)
const ownParameters = {
  format: 1,
  suite: 1,
  level: 1,
  nonce: new Uint8Array(32),
  roots: [alice.keys],
  sequencers: 'writers',
  durability: 'memory',
  checkpointKeys: [session.publicKey],
} as const
const genesis = encodeParameters(ownParameters)
const chainId = hashParameters(crypto, genesis)
const chain = chainIdOf(chainId)

interface Forgery {
  readonly certificate?: object
  readonly certifiedBy?: typeof alice
  readonly keys?: Uint8Array
  readonly signer?: typeof session
  readonly writer?: Uint8Array
  readonly kind?: (typeof KIND)[keyof typeof KIND]
  /** Changes of the 122 bytes of the commit head. */
  readonly head?: (bytes: Uint8Array) => void
  readonly attestation?: object
  readonly attestedBy?: typeof alice
  readonly attesterKeys?: Uint8Array
}

/** A sound proof of a commit of alice, but for what `forgery` says: all of it is signed and hashed anew around that. */
function forge(forgery: Forgery = {}): Proof {
  const { certifiedBy = alice, keys = alice.keys, signer = session, attestedBy = alice } = forgery
  const body = {
    chain: chainId,
    identity: alice.fingerprintBytes,
    session: session.publicKey,
    until: 9,
    ...forgery.certificate,
  }
  const certificate = makeCertificate(crypto, body, (id) => certifiedBy.sign(id, 'certificate'))
  const head = commitHead(forgery.writer ?? certificate.id)
  forgery.head?.(head)
  const commitHash = hashCommitHead(crypto, chainId, head, NO_HASH)
  const signature = signer.sign(commitHash)
  const record = new ByteWriter()
  const { kind = KIND.commit } = forgery
  writeRecordHead(record, { seq: 0, prev: NO_HASH, admittedAt: 1, sequencer: other, kind })
  const hash = hashRecordHead(crypto, chainId, record.copy(), hashCommitPayload(crypto, commitHash, signature))
  const root = leafHash(crypto, hash)
  const note = encodeCheckpoint(crypto, { origin: checkpointOrigin(chain), size: 1, root }, session)
  const attested = {
    chain: chainId,
    certificate: certificate.id,
    from: 1,
    to: 1,
    root: treeRoot(crypto, [commitHash]),
    seq: 0,
    hash: other,
  }
  const payload = encodeAttestation(crypto, { ...attested, ...forgery.attestation }, (message) =>
    attestedBy.sign(message, 'attestation'),
  )
  return {
    format: 'ate-proof/1',
    chain,
    genesis: toBase64(genesis),
    checkpoint: new TextDecoder().decode(note),
    record: { head: toBase64(record.copy()), path: [] },
    commit: {
      head: toBase64(head),
      signature: toBase64(signature),
      rides: toBase64(NO_HASH),
      certificate: toBase64(certificate.bytes),
      keys: toBase64(keys),
    },
    attestation: { payload: toBase64(payload), keys: toBase64(forgery.attesterKeys ?? attestedBy.keys), path: [] },
  }
}

function commitHead(writer: Uint8Array): Uint8Array {
  const out = new ByteWriter()
  out.u8(1)
  out.u8(1)
  out.raw(writer)
  out.u64(1)
  out.u64(0)
  out.raw(other)
  out.u64(5)
  out.raw(new Uint8Array(32))
  return out.copy()
}

/** What of a proof was refused: a case that fails for another reason shows nothing of the check it is for. */
function whatOf(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return isAteError(error) && error.code === 'BAD_PROOF' ? error.facts['what'] : error
  }
}

const verify = (proof: Proof): ProvenRecord => verifyProof(proof, { chain }, verifier) as ProvenRecord
const withOtherKem = alice.keys.with(3199, alice.keys[3199]! ^ 1)

describe('a holder of a checkpoint key', () => {
  it('proves what alice has signed', () => {
    expect(verify(forge()).commit).toMatchObject({ author: alice.fingerprint, postQuantum: 'author', at: 5 })
    const adopted = forge({ attestation: { by: bob.fingerprintBytes }, attestedBy: bob })
    expect(verify(adopted).commit).toMatchObject({ postQuantum: 'adopted', adoptedBy: bob.fingerprint })
  })

  it.each<[string, string, Forgery]>([
    ['a commit signed by another session', 'signature of the commit', { signer: stranger }],
    ['a certificate that alice has not signed', 'signature of the certificate', { certifiedBy: bob }],
    ['a certificate for another chain', 'certificate of the writer', { certificate: { chain: other } }],
    ['a certificate of another identity', 'keys of the author', { certificate: { identity: bob.fingerprintBytes } }],
    ['another identity with the same signing key', 'keys of the author', { keys: withOtherKem }],
    ['the certificate of another writer', 'certificate of the writer', { writer: other }],
    ['another format', 'format of the commit', { head: (bytes) => bytes.fill(2, 0, 1) }],
    ['another suite', 'format of the commit', { head: (bytes) => bytes.fill(2, 1, 2) }],
    ['a number over 2^53', 'a number of the commit', { head: (bytes) => bytes.fill(255, 34, 36) }],
    ['a record of another kind', 'a commit of a record of another kind', { kind: KIND.sweep }],
    [
      'an attestation that somebody else has signed',
      'signature of the attestation',
      { attestedBy: bob, attesterKeys: alice.keys },
    ],
    ['an attestation by another identity, as if it were her own', 'signer of the attestation', { attestedBy: bob }],
    ['an attestation of another chain', 'chain of the attestation', { attestation: { chain: other } }],
    ['an attestation of another writer', 'certificate of the attestation', { attestation: { certificate: other } }],
    ['an attestation of other commits', 'path of the attestation', { attestation: { root: other } }],
    ['an attestation of other numbers', 'path of the attestation', { attestation: { from: 2, to: 2 } }],
    ['an adoption in the name of another', 'keys of the attestation', { attestation: { by: bob.fingerprintBytes } }],
    [
      'an attestation with another identity of the same signing key',
      'signer of the attestation',
      { attesterKeys: withOtherKem },
    ],
  ])('does not pass %s: %s', (_, what, forgery) => {
    expect(whatOf(() => verify(forge(forgery)))).toBe(what)
  })

  it('does not pass a note over another log, nor parameters of another chain', () => {
    const sound = forge()
    const { root } = parseNote(utf8(sound.checkpoint)).checkpoint
    const foreign = encodeCheckpoint(crypto, { origin: 'ate/other', size: 1, root }, session)
    const checkpoint = new TextDecoder().decode(foreign)
    expect(whatOf(() => verify({ ...sound, checkpoint }))).toBe('origin of the checkpoint')
    expect(whatOf(() => verify({ ...sound, chain: chainIdOf(other) }))).toBe('it is of another chain')
    // Parameters that name the same keys, and are not those of this chain.
    const parameters = encodeParameters({ ...ownParameters, level: 2 })
    expect(whatOf(() => verify({ ...sound, genesis: toBase64(parameters) }))).toBe('genesis')
    expect(refusal(() => verify({ ...sound, genesis: toBase64(utf8('x')) }))).toBe('BAD_PROOF')
  })
})

describe('who verifies a proof', () => {
  const withTrust = (trust: unknown): string =>
    refusal(() => verifyProof(forge(), { chain, ...(trust as object) }, verifier))

  it('says which chain is meant, and of which keys checkpoints may be', () => {
    for (const wrong of [undefined, null, 'x', 5])
      expect(refusal(() => verifyProof(forge(), wrong as never, verifier))).toBe('BAD_ARGUMENT')
    expect(withTrust({ checkpointKeys: [session.publicKey] })).toBe('nothing was thrown')
    const listed = { every: () => true, length: 1, 0: session.publicKey, find: () => session.publicKey }
    for (const wrong of [session.publicKey, listed, [[...session.publicKey]], ['x'.repeat(32)], [other.subarray(1)]])
      expect(withTrust({ checkpointKeys: wrong })).toBe('BAD_ARGUMENT')
  })

  it('is told where it is of a format that is not known', () => {
    const { format: _, ...rest } = forge()
    const error = ((): unknown => {
      try {
        return verifyProof({ ...rest, format: 'ate-proof/2' } as never, { chain }, verifier)
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toMatchObject({ code: 'BAD_PROOF', facts: { field: 'format', given: 'ate-proof/2' } })
  })
})
