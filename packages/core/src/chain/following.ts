/** Up to where a reader that takes only what is attested may go. */
import { toBinaryText } from '../base/bytes.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseAttestation } from '../event/attestation.ts'
import { COMMIT, KIND } from '../event/format.ts'
import { parseRecordHead } from '../event/record.ts'
import type { LogEngine } from '../log/engine.ts'

/**
 * The newest record such that the log from `from` up to it carries post-quantum signatures throughout: found by reading
 * ahead, since a signature stands behind what it covers. Only numbers are looked at here; accept() checks the rest.
 */
export async function attestedUntil(crypto: CryptoProvider, engine: LogEngine, from: number): Promise<number> {
  const open = new Map<string, number[]>()
  let last = from
  for await (const chunk of engine.read(from + 1)) {
    for (const { seq, bytes } of chunk) {
      note(crypto, open, seq, bytes)
      if ([...open.values()].every((commits) => commits.length === 0)) last = seq
    }
  }
  return last
}

/** Keeps, for each writer, the records of commits that no attestation covers yet. */
function note(crypto: CryptoProvider, open: Map<string, number[]>, seq: number, bytes: Uint8Array): void {
  const { kind } = parseRecordHead(bytes)
  if (kind === KIND.commit) {
    const writer = toBinaryText(bytes.subarray(COMMIT.writer, COMMIT.writer + 32))
    const commits = open.get(writer)
    if (commits) commits.push(seq)
    else open.set(writer, [seq])
  } else if (kind === KIND.attestation) {
    const { body } = parseAttestation(crypto, bytes)
    open.get(toBinaryText(body.certificate))?.splice(0, body.to - body.from + 1)
  }
}
