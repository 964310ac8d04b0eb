/** Holds what another member's server has signed against what this process has verified. Loaded when somebody asks. */
import { equalBytes, toBase64 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf, parseId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type AcknowledgementPart, readAcknowledgementPart, type SignedAcknowledgement } from '../chain/signed-parts.ts'
import { Fields, jsonOf } from '../codec/json-fields.ts'
import type { Evidence } from './evidence.ts'
import { evidenceBase } from './evidence-base.ts'
import { acknowledged } from './head-evidence.ts'
import { HEAD_FORMAT, type HeadStatement } from './head-statement.ts'

/** `same`: both have that record. `behind`: this one lacks it, also after it has asked its server. */
export type Comparison = 'same' | 'behind'

/** @throws AteError FORK, with evidence | BAD_PROOF | WRONG_CHAIN | NOT_AUTHORIZED | OFFLINE */
export async function compareHead(core: ChainCore, text: string): Promise<Comparison> {
  const { crypto, replica } = core
  const fields = new Fields(jsonOf(text), 'head')
  if (fields.text('format', 20) !== HEAD_FORMAT) throw new AteError('BAD_PROOF', { field: 'format' })
  const chain = parseId(fields.text('chain', 60), 'chain')
  if (!equalBytes(chain, replica.chainId))
    throw new AteError('WRONG_CHAIN', { wanted: core.chainId, found: chainIdOf(chain) })
  const said = readAcknowledgementPart(crypto, replica.chainId, fields)
  fields.done()
  assertOrders(core, said)
  if (said.seq > replica.head.seq) await core.refresh()
  const here = replica.hashes.at(said.seq)
  if (!here) return 'behind'
  if (equalBytes(here, said.hash)) return 'same'
  throw await forkOf(core, said, partOf(text))
}

/** Anybody can sign anything about a chain: only the word of who orders its records counts. */
function assertOrders({ replica }: ChainCore, { signer }: SignedAcknowledgement): void {
  const { sequencers } = replica.genesis.parameters
  if (sequencers !== 'writers' && sequencers.some((name) => equalBytes(name, signer))) return
  throw new AteError('NOT_AUTHORIZED', { needs: 'the word of a server that the chain names' })
}

/** `text` has been read before. */
function partOf(text: string): AcknowledgementPart {
  const { acknowledgement, delegation, keys } = JSON.parse(text) as HeadStatement
  return { acknowledgement, delegation, keys }
}

async function forkOf(
  core: ChainCore,
  { seq, hash }: SignedAcknowledgement,
  theirs: AcknowledgementPart,
): Promise<AteError> {
  const { replica, chainId } = core
  const known = await acknowledged(core, seq)
  const evidence: Evidence = {
    ...evidenceBase(replica, 'fork', { remembered: replica.head, shown: { seq, hash } }),
    from: seq,
    count: 1,
    // One that is signed is as good from either side.
    known: known ?? { kind: 'acknowledgement', ...theirs },
    ...(known ? { against: { kind: 'acknowledgement', ...theirs } } : {}),
  }
  return new AteError(
    'FORK',
    { chain: chainId, seq, here: toBase64(replica.hashes.at(seq)!).slice(0, 12) },
    { evidence },
  )
}
