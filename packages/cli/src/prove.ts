/** `ate prove`: a proof of a record, a transaction or an entity's value, as a file that others verify without the chain. */
import { AteError, type Chain, type ConsistencyProof, type Proof, proofText } from '@ate/core'
import { assertNew, writeNew } from './new-file.ts'
import { openPlace, type PlaceOptions } from './open-place.ts'
import { print } from './output.ts'

export interface ProveCommandOptions extends PlaceOptions {
  readonly entity?: string
  readonly ciphertext?: boolean
  readonly since?: number
  readonly out?: string
}

export async function prove(place: string, what: string | undefined, options: ProveCommandOptions): Promise<void> {
  const given = [what, options.entity, options.since].filter((each) => each !== undefined)
  if (given.length !== 1)
    throw new AteError('BAD_ARGUMENT', {}, { hint: 'give one of SEQ, TXID, --entity and --since' })
  assertNew(options.out)
  const { out } = options
  const chain = await openPlace(place, options, 'read')
  try {
    const text = proofText(await proofOf(chain, what, options))
    if (out === undefined) await print(text.trimEnd())
    else await writeNew(out, text)
  } finally {
    await chain.close()
  }
}

function proofOf(
  chain: Chain,
  what: string | undefined,
  { entity, since, ciphertext }: ProveCommandOptions,
): Promise<Proof | ConsistencyProof> {
  if (since !== undefined) return chain.proveConsistency(since)
  if (entity !== undefined) return chain.prove({ entity }, ciphertext ? { ciphertext: 'include' } : {})
  // A number is a record; ids of transactions are 26 characters.
  return chain.prove(/^\d{1,16}$/.test(what!) ? { record: Number(what) } : { transaction: what! })
}
