/** The attestation that covers a commit, with the commit's path in it: looked for in the log behind the commit. */
import { equalBytes, toBase64, toBinaryText } from '../base/bytes.ts'
import { inclusionProof, leafHash, treeRoot } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type AttestationBody, parseAttestationPayload } from '../event/attestation.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { LogEngine } from '../log/engine.ts'
import type { Certificate } from '../trust/trust-state.ts'
import { type CommitHead, commitHashOf, commitHeadAt, kindAt, recordAt } from './log-parts.ts'
import type { Replica } from './replica.ts'
import type { AttestationPart } from './signed-parts.ts'
import { NUMBER_NOT_TAKEN } from './verdict.ts'

interface Parts {
  readonly crypto: CryptoProvider
  readonly engine: LogEngine
  readonly replica: Replica
}

/** Undefined if there is none yet, or if the commit's number was not taken. */
export async function attestationOf(
  parts: Parts,
  seq: number,
  commit: CommitHead,
  certificate: Certificate,
): Promise<(AttestationPart & { readonly path: readonly string[] }) | undefined> {
  const { crypto, engine, replica } = parts
  if (certificate.unattested.some((waiting) => waiting.seq === seq)) return undefined
  for (let at = seq + 1; at <= replica.head.seq; at++) {
    if ((await kindAt(engine, at)) !== KIND.attestation) continue
    const payload = (await recordAt(engine, at)).subarray(RECORD_HEAD_BYTES)
    const { body } = parseAttestationPayload(crypto, payload)
    const index = commit.writerSeq - body.from
    if (!equalBytes(body.certificate, commit.writer) || index < 0 || commit.writerSeq > body.to) continue
    const hashes =
      (await commitHashes(parts, body, at, NUMBER_NOT_TAKEN)) ?? (await commitHashes(parts, body, at, NOTHING))
    const keys = body.by ? replica.trust.keysOf(toBinaryText(body.by)) : certificate.keys
    if (!hashes || !keys || !equalBytes(hashes[index]!, commitHashOf(crypto, replica.chainId, commit))) return undefined
    const leaves = hashes.map((hash) => leafHash(crypto, hash))
    const path = inclusionProof(crypto, leaves, index).map(toBase64)
    return { payload: toBase64(payload), keys: toBase64(keys), path }
  }
  return undefined
}

const NOTHING: ReadonlySet<string> = new Set()

/**
 * The hashes of the commits that an attestation covers, in order; undefined if they do not make its root. A commit whose
 * number was not taken (a copy of one that counts) is passed over by the code of its refusal; since a transaction may be
 * refused with the same code, who gets nothing asks again without.
 */
async function commitHashes(
  parts: Parts,
  body: AttestationBody,
  before: number,
  passedOver: ReadonlySet<string>,
): Promise<readonly Uint8Array[] | undefined> {
  const { crypto, engine, replica } = parts
  const hashes: Uint8Array[] = []
  let missing = body.to - body.from + 1
  for (let seq = before - 1; seq > 0 && missing > 0; seq--) {
    if ((await kindAt(engine, seq)) !== KIND.commit) continue
    const refusal = replica.voids.get(seq)?.values().next().value
    if (refusal && passedOver.has(refusal.code)) continue
    const head = await commitHeadAt(parts, seq)
    const index = head.writerSeq - body.from
    if (!equalBytes(head.writer, body.certificate) || index < 0 || head.writerSeq > body.to) continue
    hashes[index] = commitHashOf(crypto, replica.chainId, head)
    missing--
  }
  return missing === 0 && equalBytes(treeRoot(crypto, hashes), body.root) ? hashes : undefined
}
