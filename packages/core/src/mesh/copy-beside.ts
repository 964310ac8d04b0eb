/**
 * The copy of a tab that is not the one that keeps it: what stands in the database, read beside the tab that writes there, in
 * memory. So only what is new is fetched, and a tab opens without the server, too.
 */
import { isAteError, throwIfAborted } from '../base/errors.ts'
import { makersOf, replay, snapshotsOf } from '../data/open-chain.ts'
import { openEngine, parsePlace } from '../data/place.ts'
import { memoryEngine } from '../log/memory.ts'
import type { Wanted } from './open-ordered.ts'
import type { Copy } from './remote-copy.ts'

/** Empty where there is nothing that can be read: what the other tab changes meanwhile is no damage. */
export async function copyBeside({
  identity,
  options,
  platform,
}: Pick<Wanted, 'identity' | 'options' | 'platform'>): Promise<Copy> {
  const engine = memoryEngine()
  try {
    const place = parsePlace(options.replica ?? 'memory:', { readOnly: true }, platform)
    const beside = await openEngine(place, { create: false, label: undefined, known: undefined })
    try {
      const snapshots = await snapshotsOf(beside, identity, options, platform)
      const from = await snapshots?.load(makersOf(platform), options.signal)
      if (beside.label) engine.setLabel(beside.label)
      for await (const chunk of beside.read(0))
        await engine.append(chunk, { after: engine.head(), durability: 'memory', load: 'group' })
      return { engine, replica: engine.head() && (await replay(engine, platform, options.signal, { from })) }
    } finally {
      await beside.close()
    }
  } catch (error) {
    throwIfAborted(options.signal)
    if (!isAteError(error)) throw error
    return { engine: memoryEngine(), replica: undefined }
  }
}
