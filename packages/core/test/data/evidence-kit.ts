/** Statements about a forged chain, as evidence and members hand them on: of a server, and of an author. */
import { toBase64 } from '../../src/base/bytes.ts'
import type { AcknowledgementPart, AttestationPart } from '../../src/chain/signed-parts.ts'
import { encodeAcknowledgement, makeDelegation } from '../../src/event/acknowledgement.ts'
import { encodeAttestation } from '../../src/event/attestation.ts'
import type { Head } from '../../src/log/engine.ts'
import type { Actor, Forger } from '../../src/testing/chain-kit.ts'
import { crypto, root } from '../chain/kit.ts'

/** 32 bytes that are the hash of nothing here. */
export const other: Uint8Array = new Uint8Array(32).fill(9)

const session = crypto.ed25519Signer(new Uint8Array(32).fill(3))

export function acknowledgementOf(
  { chainId }: Pick<Forger, 'chainId'>,
  { seq, hash }: Head,
  { server = root, at = 5 }: { readonly server?: Actor; readonly at?: number } = {},
): AcknowledgementPart {
  const body = { key: session.publicKey, checkpointKey: session.publicKey, from: 1, until: 1000 }
  const { identity, id } = server
  const signs = { fingerprintBytes: id, sign: (message: Uint8Array) => identity.sign(message, 'delegation') }
  const said = encodeAcknowledgement(crypto, { chain: chainId, seq, hash, level: 'disk', at }, session)
  return {
    acknowledgement: toBase64(said),
    delegation: toBase64(makeDelegation(crypto, body, signs)),
    keys: toBase64(identity.keys),
  }
}

export function attestationOf({ chainId }: Pick<Forger, 'chainId'>, { seq, hash }: Head): AttestationPart {
  const body = { chain: chainId, certificate: other, from: 1, to: 1, root: other, seq, hash }
  const payload = encodeAttestation(crypto, body, (message) => root.identity.sign(message, 'attestation'))
  return { payload: toBase64(payload), keys: toBase64(root.identity.keys) }
}

/** The record of that number, as `chain` has it. */
export function headOf({ replica: { hashes } }: Forger, seq: number): Head {
  return { seq, hash: hashes.at(seq)! }
}
