/**
 * What a server has signed of the newest record of a chain, as text that members hand to each other, by whatever way they
 * have: two who compare notice in one exchange if the server shows them two histories, and hold the proof.
 */
import type { ChainId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { AcknowledgementPart } from '../chain/signed-parts.ts'

export const HEAD_FORMAT = 'ate-head/1'

/** All of it base64, but the chain. */
export interface HeadStatement extends AcknowledgementPart {
  readonly format: typeof HEAD_FORMAT
  readonly chain: ChainId
}

/** Undefined where no server has acknowledged anything. */
export function headStatement({ acknowledgement, chainId }: ChainCore): string | undefined {
  if (!acknowledgement) return undefined
  const statement: HeadStatement = { format: HEAD_FORMAT, chain: chainId, ...acknowledgement }
  return JSON.stringify(statement)
}
