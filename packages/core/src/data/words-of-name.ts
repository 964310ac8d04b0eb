/** Which entity a name means, as acknowledged: its id follows from where it stands and from the name, blinded with the key there. */
import { AteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { namedEntity } from '../event/derive-ids.ts'
import { type EntityWords, textOfWords } from '../event/entity-words.ts'
import { blindName } from '../session/epoch-keys.ts'
import { nodeWith } from '../trust/policy.ts'
import { assertType, parentWords } from './entity.ts'
import { checkName, type EntityType } from './entity-type.ts'
import type { PlaceOptions } from './transaction-options.ts'

/** Whether or not there is one. @throws AteError NOT_FOUND (the parent) | NO_READ_KEY | BAD_ARGUMENT | BAD_ID */
export function wordsOfName<T>(
  { replica, crypto, keys }: ChainCore,
  chain: ChainId,
  type: EntityType<T>,
  name: string,
  options: PlaceOptions,
): EntityWords {
  assertType(type)
  const parent = parentWords(options.parent, chain)
  const collection = options.in ?? type.name
  checkName(name, 'name')
  const { view, trust, chainId } = replica
  const row = view.findLive(parent.a, parent.b, parent.c, parent.d)
  if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(parent), what: 'parent' })
  const node = nodeWith(view, 'read', row)
  const secrets = keys.secretsOf({ row: node, id: view.wordsOf(node) }, trust.newestEpoch(node)!.number)
  if (!secrets) throw new AteError('NO_READ_KEY', { node: view.idText(node) })
  return namedEntity(crypto, chainId, parent, collection, blindName(crypto, secrets.indexKey, collection, name))
}
