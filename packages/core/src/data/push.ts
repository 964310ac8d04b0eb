/**
 * Moves a chain to another place. The steps are such that wherever it is interrupted, either the source is the writer
 * still, or the target is whole; at no time are both written; and calling it again finishes it.
 *
 *   1. the records and keys are copied, verified on the way; the target is `incomplete`
 *   2. the target is whole: `copy`
 *   3. the source is `moved`: from here on it is read only, and its keys are destroyed
 *   4. the target is `live`
 */
import { platform as ownPlatform } from '#platform'
import { equalBytes } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { type CopyOptions, copyLog, copyRing, isAt, steps } from '../chain/copy-log.ts'
import { emptyRing } from '../chain/kept-keys.ts'
import type { Head, LogEngine } from '../log/engine.ts'
import { checkStanding, LIVE } from '../log/standing.ts'
import { addKnownChain, lookUpChain } from '../session/known-chains.ts'
import type { Platform } from '../session/platform.ts'
import type { CopyReceipt } from './backup.ts'
import { openEngine, type Place, parsePlace } from './place.ts'
import { openTarget } from './target-place.ts'

export interface PushOptions extends CopyOptions {
  /** The chain that is meant; what this machine knows of `from` if left out. */
  readonly id?: ChainId | string
}

/** As `push` of on-demand.ts says. */
export async function push(
  from: string | LogEngine,
  to: string | LogEngine,
  options: PushOptions = {},
  platform: Platform = ownPlatform,
): Promise<CopyReceipt> {
  throwIfAborted(options.signal)
  const place = parsePlace(from, { standings: ['live', 'moved'] }, platform)
  const toPlace = parsePlace(to, {}, platform)
  if (place.kind === 'memory' || from === to || (place.name !== undefined && place.name === toPlace.name))
    throw new AteError('BAD_ARGUMENT', { what: 'from and to are two places' })
  const label = options.id === undefined ? undefined : parseId(options.id, 'chain')
  const known = place.name !== undefined && !label ? await lookUpChain(platform.state, place.name) : undefined
  const source = await openEngine(place, { create: false, label, known })
  try {
    checkStanding(source.standing, 'write', ['live', 'moved'])
    const head = source.head()
    if (!head || !source.label) throw new AteError('CHAIN_NOT_FOUND', { engine: source.kind })
    const chain = chainIdOf(source.label)
    const wanted = label ? chainIdOf(label) : known
    if (wanted !== undefined && wanted !== chain) throw new AteError('WRONG_CHAIN', { wanted, found: chain })
    const knownTo = toPlace.name === undefined ? undefined : await lookUpChain(platform.state, toPlace.name)
    if (knownTo !== undefined && knownTo !== chain)
      throw new AteError('WRONG_CHAIN', { place: toPlace.name, known: knownTo, found: chain })
    const keys = await move({ source, head, to, toPlace }, options, platform)
    if (known !== undefined && toPlace.name !== undefined) await addKnownChain(platform.state, toPlace.name, chain)
    return { chain, head, records: head.seq + 1, keys }
  } finally {
    if (typeof from === 'string') await source.close()
  }
}

interface Move {
  readonly source: LogEngine
  readonly head: Head
  readonly to: string | LogEngine
  readonly toPlace: Place
}

async function move({ source, head, to, toPlace }: Move, options: PushOptions, platform: Platform): Promise<number> {
  const isMoved = source.standing.state === 'moved'
  // Never a second target: that one may be written by now.
  const name = toPlace.name ?? 'an engine'
  if (isMoved && !name.startsWith(source.standing.note)) throw new AteError('CHAIN_MOVED', { to: source.standing.note })
  const target = isMoved ? await openMoved(source, to, platform) : await openTarget(to, { resume: 'copy' }, platform)
  try {
    if (target.label && target.head() && !equalBytes(target.label, source.label!))
      throw new AteError('CHAIN_EXISTS', { place: toPlace.name })
    let keys = 0
    if (!isMoved) {
      await source.append([], { after: head, durability: source.durability, load: 'alone' })
      await copyLog(platform, steps(source, options.signal), target, head.seq, options)
      keys = await copyRing(source, target, options.signal)
      await target.setStanding({ state: 'copy', note: '' })
      await source.setStanding({ state: 'moved', note: name })
    }
    // A copy of another state of the chain is not where it went on.
    if (!isAt(target, head)) throw new AteError('CHAIN_MOVED', { to: source.standing.note })
    // What is destroyed over there must not be left here.
    await emptyRing(source.ring)
    await target.setStanding(LIVE)
    return keys
  } finally {
    if (typeof to === 'string') await target.close()
  }
}

/** The target of a push that was interrupted behind its third step: whole, and written by nobody yet. */
async function openMoved(source: LogEngine, to: string | LogEngine, platform: Platform): Promise<LogEngine> {
  const elsewhere = new AteError('CHAIN_MOVED', { to: source.standing.note })
  try {
    const target = await parsePlace(to, { standings: ['copy', 'live'] }, platform).open({
      create: false,
      label: source.label,
    })
    if (target.standing.state !== 'copy' && target.standing.state !== 'live') throw elsewhere
    return target
  } catch (cause) {
    throw new AteError('CHAIN_MOVED', elsewhere.facts, { cause })
  }
}
