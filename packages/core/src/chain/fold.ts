/**
 * The fold: whether a transaction commits, and what it changes. A pure function of the log before it and of clear
 * bytes, so that every reader, a server without keys, and every engine decide the same.
 *
 * Order: guards on the state before; each event on the state that the earlier ones left (so a node and its children
 * can be made at once); counters, conservation and retention at the end. All hold and all apply, or nothing does.
 *
 * Invariants: denials are never undone by a later merge (there is none: one order); a policy is judged as stored before
 * the event, through the stored parent; a created id follows from signed bytes.
 */
import { AteError } from '../base/errors.ts'
import { COUNTERS_MAX, TREE_DEPTH_MAX } from '../base/limits.ts'
import { namedEntity, transactionPrefix } from '../event/derive-ids.ts'
import { type EntityWords, entityKey, textOfWords } from '../event/entity-words.ts'
import { FOLD_LEVEL, LOCKS_LEVEL, OP } from '../event/format.ts'
import type { ParsedTransaction, TransactionEvent } from '../event/transaction-event.ts'
import { mayManage, mayOwn, mayWrite, nodeWith } from '../trust/policy.ts'
import { isStale, type TrustState } from '../trust/trust-state.ts'
import { type ChildList, pushChild } from '../view/child-lists.ts'
import { DEAD, HAS_EXTRA, NAMED, NO_RECORD, PENDING, ROW } from '../view/entity-table.ts'
import type { Journal } from '../view/journal.ts'
import type { View } from '../view/view.ts'
import { addToCounter, type CounterChanges, checkCounters, createCounters, dropCounters } from './fold-counters.ts'
import { checkGuard } from './fold-guards.ts'
import { checkDeletion, checkLocksLevel, checkPlace, checkUnlocked, growLock, retained } from './fold-locks.ts'
import { applyPerson } from './fold-persons.ts'
import {
  depthOf,
  enterList,
  heightOf,
  isBelow,
  moveRow,
  obtainList,
  obtainName,
  removeRow,
  wordsOfEvent,
} from './fold-tree.ts'
import {
  applyEpoch,
  applyOwnPolicy,
  applyPolicy,
  applyRole,
  applyRoot,
  createRole,
  dropRole,
  isRolesCollection,
} from './fold-trust.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

/** The key that seals an event, for replay: a block's node and epoch, or undefined while staging. */
export interface BlockKeyNames {
  readonly node: EntityWords
  readonly epoch: number
}

export interface FoldTarget {
  readonly view: View
  readonly trust: TrustState
}

/**
 * Applies `transaction`, or refuses it and leaves no trace. On success its events know their rows and read nodes, and
 * `journal` can take it back. While staging, `blocks` is undefined and the caller seals under the newest epochs.
 */
export function applyTransaction(
  target: FoldTarget,
  transaction: ParsedTransaction,
  judge: Judge,
  journal: Journal,
  blocks: readonly BlockKeyNames[] | undefined,
): Refusal | undefined {
  // An earlier transaction of the same commit may have taken the author's key out of its person.
  if (target.trust.actorOf(judge.key) !== judge.identity) return refuse('KEY_REMOVED')
  const { guards } = transaction
  for (let i = 0; i < guards.length; i++) {
    const refusal = checkGuard(target, guards[i]!, judge)
    if (refusal) return refusal
  }
  const run = new TransactionRun(target, judge, journal, blocks)
  const refusal = run.applyAll(transaction)
  if (refusal) journal.undo()
  else stopAtNewerRules(target.trust.level, journal)
  return refusal
}

/** A raise that commits is for everybody: who does not know the rules behind it stops here, and does not call it void. */
function stopAtNewerRules(level: number, journal: Journal): void {
  if (level <= FOLD_LEVEL) return
  journal.undo()
  throw new AteError('NEEDS_UPGRADE', { level, known: FOLD_LEVEL })
}

/** One transaction on its way through the fold; what the last event looked up is kept for the next. */
class TransactionRun {
  readonly #target: FoldTarget
  readonly #view: View
  readonly #trust: TrustState
  readonly #judge: Judge
  readonly #journal: Journal
  readonly #blocks: readonly BlockKeyNames[] | undefined
  readonly #blockRows: number[] = []
  /** Made when the first counter changes: few transactions have any. */
  #counters: CounterChanges | undefined
  #created = 0
  #prefix: EntityWords | undefined
  // The last parent that was written to, and what is known of it. Forgotten when a policy, role or place changes.
  #parent: EntityWords | undefined
  #parentRow = -1
  #parentDepth = 0
  #parentReadNode = -1
  #list: ChildList | undefined
  #listName: string | undefined
  #collection = 0
  #mayCreate = false
  #closed: Refusal | undefined

  constructor(target: FoldTarget, judge: Judge, journal: Journal, blocks: readonly BlockKeyNames[] | undefined) {
    this.#target = target
    this.#view = target.view
    this.#trust = target.trust
    this.#judge = judge
    this.#journal = journal
    this.#blocks = blocks
  }

  applyAll(transaction: ParsedTransaction): Refusal | undefined {
    const { events } = transaction
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      const tooLow = event.rare && checkLocksLevel(this.#trust.level, event.rare)
      if (tooLow) return tooLow
      const refusal = event.op === OP.create ? this.#create(event, transaction) : this.#change(event)
      if (refusal) return refusal
      if (event.body) {
        const sealed = this.#checkSeal(event)
        if (sealed) return sealed
      }
    }
    return this.#counters && checkCounters(this.#target, this.#judge, this.#counters)
  }

  get #changes(): CounterChanges {
    this.#counters ??= { units: new Map(), touched: new Set() }
    return this.#counters
  }

  #create(event: TransactionEvent, transaction: ParsedTransaction): Refusal | undefined {
    const parent = this.#enterParent(event.parent)
    if (parent) return parent
    if (this.#parentDepth + 1 > TREE_DEPTH_MAX) return refuse('TREE_DEPTH', { max: TREE_DEPTH_MAX })
    if (event.collection !== this.#listName || this.#list === undefined) this.#enterList(event.collection)
    if (this.#closed) return this.#closed
    if (this.#list!.floor > this.#judge.baseSeq) return refuse('STALE_BASE', { collection: event.collection })
    if (isRolesCollection(event.collection) !== (event.rare?.role !== undefined))
      return refuse('RESERVED_NAME', { collection: event.collection })
    this.#nameEntity(event, transaction)
    const known = this.#view.table.find(event.a, event.b, event.c, event.d)
    const refusal = known < 0 ? this.#addRow(event) : this.#reviveRow(event, known)
    if (refusal) return refusal
    event.readNode = this.#parentReadNode
    return event.rare ? this.#createRare(event) : undefined
  }

  #enterParent(words: EntityWords): Refusal | undefined {
    if (words === this.#parent) return undefined
    const view = this.#view
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row < 0) return refuse('NOT_FOUND', { entity: textOfWords(words), what: 'parent' })
    this.#parent = words
    this.#parentRow = row
    this.#parentDepth = depthOf(view, row)
    this.#parentReadNode = nodeWith(view, 'read', row)
    this.#list = undefined
    return undefined
  }

  #enterList(collection: string): void {
    this.#collection = obtainName(this.#view, this.#journal, collection)
    this.#list = obtainList(this.#view, this.#journal, this.#parentRow, this.#collection)
    this.#listName = collection
    this.#mayCreate = mayWrite(this.#view, this.#parentRow, this.#judge.identity)
    this.#closed = checkPlace(this.#view, this.#trust.level, this.#parentRow, collection)
  }

  #nameEntity(event: TransactionEvent, { nonce, prefix }: ParsedTransaction): void {
    if (event.named) return
    if (event.key) {
      const words = namedEntity(this.#judge.crypto, this.#judge.chainId, event.parent, event.collection, event.key)
      event.a = words.a
      event.b = words.b
      event.c = words.c
      event.d = words.d
      return
    }
    this.#prefix ??= prefix ?? transactionPrefix(this.#judge.crypto, this.#judge.chainId, this.#judge.keyBytes, nonce)
    event.a = this.#prefix.a
    event.b = this.#prefix.b
    event.c = this.#prefix.c
    event.d = ++this.#created
  }

  /** A role is made by who manages the node; everything else by who may write there. */
  #checkCreator(event: TransactionEvent): Refusal | undefined {
    const may = event.rare?.role ? mayManage(this.#view, this.#parentRow, this.#judge.identity) : this.#mayCreate
    return may
      ? undefined
      : refuse('NOT_AUTHORIZED', { entity: textOfWords(event.parent), needs: event.rare?.role ? 'manage' : 'write' })
  }

  #addRow(event: TransactionEvent): Refusal | undefined {
    const denied = this.#checkCreator(event)
    if (denied) return denied
    if (event.version > 1) return refuse('CONFLICT', { expected: event.version - 1, found: 0 })
    const view = this.#view
    const list = this.#list!
    const type = obtainName(view, this.#journal, event.type)
    const row = view.table.add(event.a, event.b, event.c, event.d)
    const chunk = view.table.chunkOf(row)
    const at = view.table.offsetOf(row)
    chunk[at + ROW.parent] = this.#parentRow
    chunk[at + ROW.version] = 1
    chunk[at + ROW.collection] = this.#collection
    chunk[at + ROW.type] = type
    // Until it is acknowledged, a staged entity is not there for readers outside.
    chunk[at + ROW.record] = this.#blocks ? NO_RECORD : PENDING
    if (event.key) chunk[at + ROW.blockAndFlags] = NAMED
    chunk[at + ROW.slot] = pushChild(list, row)
    list.live++
    list.version++
    view.changeHeight(this.#parentRow, -1, 0)
    view.bumpSubtree(row, 1)
    this.#journal.created(row)
    event.row = row
    return undefined
  }

  /** A named id that was deleted lives again, and its version counts on. */
  #reviveRow(event: TransactionEvent, row: number): Refusal | undefined {
    const denied = this.#checkCreator(event)
    if (denied) return denied
    const view = this.#view
    if (!event.key) return refuse('ID_REUSED', { entity: textOfWords(wordsOfEvent(event)) })
    if (!view.isDead(row)) return refuse('NAME_TAKEN', { entity: textOfWords(wordsOfEvent(event)) })
    const version = view.table.get(row, ROW.version)
    if (event.version > 0 && event.version !== version + 1)
      return refuse('CONFLICT', { expected: event.version - 1, found: version })
    this.#journal.changing(row)
    const list = this.#list!
    // Nothing of its first life but the version: no policy, expiry, retention or counter.
    view.clearFlags(row, DEAD | HAS_EXTRA)
    view.extras.delete(row)
    view.table.set(row, ROW.version, version + 1)
    view.table.set(row, ROW.policy, 0)
    view.table.set(row, ROW.type, obtainName(view, this.#journal, event.type))
    view.table.set(row, ROW.record, this.#blocks ? NO_RECORD : PENDING)
    enterList(view, this.#journal, row, list)
    this.#journal.bump(row)
    event.row = row
    return undefined
  }

  #createRare(event: TransactionEvent): Refusal | undefined {
    const rare = event.rare!
    const { row } = event
    const keeps = rare.retain ?? rare.holds ?? rare.lock ?? rare.witnesses
    const needsOwn = rare.policy !== undefined || keeps !== undefined
    if (needsOwn && !mayOwn(this.#view, this.#parentRow, this.#judge.identity)) {
      return refuse('NOT_AUTHORIZED', { entity: textOfWords(event.parent), needs: 'manage' })
    }
    const refusal =
      (rare.policy || rare.epoch ? applyOwnPolicy(this.#target, this.#journal, event, this.#judge) : undefined) ??
      (rare.role ? createRole(this.#target, this.#journal, event, this.#judge) : undefined) ??
      (rare.counters
        ? createCounters(this.#target, this.#journal, event, this.#judge, this.#changes, COUNTERS_MAX)
        : undefined)
    if (refusal) return refusal
    if (rare.policy || rare.role) this.#forgetLookups()
    const expiry = rare.expires !== undefined || rare.ttl !== undefined ? this.#setExpiry(event) : undefined
    if (expiry) return expiry
    const kept = keeps === undefined ? undefined : this.#growRetention(event)
    if (kept) return kept
    // Below level 4 what is kept is sealed for the readers of its parent, whatever its own policy says: found too late.
    if (keeps === undefined || this.#trust.level >= LOCKS_LEVEL) event.readNode = nodeWith(this.#view, 'read', row)
    return undefined
  }

  #change(event: TransactionEvent): Refusal | undefined {
    const view = this.#view
    const row = view.table.find(event.a, event.b, event.c, event.d)
    const gone = row < 0 || view.isDead(row)
    if (event.op === OP.forget) return this.#forget(event, row)
    if (gone) return refuse('NOT_FOUND', { entity: textOfWords(wordsOfEvent(event)) })
    event.row = row
    switch (event.op) {
      case OP.put:
        return this.#put(event)
      case OP.delete:
        return this.#delete(event)
      case OP.move:
        return this.#move(event)
      case OP.add:
        return checkUnlocked(view, row) ?? addToCounter(this.#target, this.#journal, event, this.#judge, this.#changes)
      case OP.expire:
        return (
          this.#authorized(event, mayWrite(view, row, this.#judge.identity), 'write') ??
          this.#kept(row) ??
          this.#setExpiry(event)
        )
      case OP.retain:
        return (
          this.#authorized(event, mayOwn(view, view.parentOf(row), this.#judge.identity), 'manage') ??
          this.#growRetention(event)
        )
      default:
        return this.#changeTrust(event)
    }
  }

  #changeTrust(event: TransactionEvent): Refusal | undefined {
    this.#forgetLookups()
    const target = this.#target
    switch (event.op) {
      case OP.policy:
        return applyPolicy(target, this.#journal, event, this.#judge)
      case OP.epoch:
        return applyEpoch(target, this.#journal, event, this.#judge)
      case OP.role:
        return applyRole(target, this.#journal, event, this.#judge)
      case OP.person:
        return applyPerson(target, this.#journal, event, this.#judge)
      default:
        return applyRoot(target, this.#journal, event, this.#judge)
    }
  }

  #put(event: TransactionEvent): Refusal | undefined {
    const view = this.#view
    const { row } = event
    const refusal =
      this.#authorized(event, mayWrite(view, row, this.#judge.identity), 'write') ??
      this.#nextVersion(event) ??
      this.#kept(row)
    if (refusal) return refusal
    if (!event.body || row === 0) return refuse('NOT_AUTHORIZED', { what: 'a put needs a body' })
    this.#journal.changing(row)
    view.table.set(row, ROW.version, view.table.get(row, ROW.version) + 1)
    this.#journal.bump(row)
    event.readNode = nodeWith(view, 'read', row)
    return event.rare && (event.rare.expires !== undefined || event.rare.ttl !== undefined)
      ? this.#setExpiry(event)
      : undefined
  }

  #delete(event: TransactionEvent): Refusal | undefined {
    const view = this.#view
    const { row } = event
    const role = this.#trust.roles.get(entityKey(event))
    const may = role ? mayManage(view, role.node, this.#judge.identity) : mayWrite(view, row, this.#judge.identity)
    const refusal =
      this.#authorized(event, may && row !== 0, role ? 'manage' : 'write') ??
      this.#nextVersion(event) ??
      checkDeletion(view, row, this.#judge, event.rare?.bypass)
    if (refusal) return refusal
    if (view.children.hasLive(row)) return refuse('NOT_EMPTY', { entity: textOfWords(wordsOfEvent(event)) })
    dropCounters(this.#target, row, this.#changes)
    this.#forgetLookups()
    removeRow(view, this.#journal, row)
    return role ? dropRole(this.#target, this.#journal, role) : undefined
  }

  #move(event: TransactionEvent): Refusal | undefined {
    const view = this.#view
    const { row } = event
    const refusal =
      this.#authorized(event, row !== 0 && mayManage(view, row, this.#judge.identity), 'manage') ??
      this.#nextVersion(event) ??
      this.#kept(row)
    if (refusal) return refusal
    if ((view.table.get(row, ROW.blockAndFlags) & NAMED) !== 0)
      return refuse('NAMED_MOVE', { entity: textOfWords(wordsOfEvent(event)) })
    if (isRolesCollection(event.collection)) return refuse('RESERVED_NAME', { collection: event.collection })
    if (event.rare?.policy?.closed && !view.policyOf(row)?.closed)
      return refuse('NOT_AUTHORIZED', { what: 'a node is closed at its creation only' })
    const to = view.findLive(event.parent.a, event.parent.b, event.parent.c, event.parent.d)
    if (to < 0) return refuse('NOT_FOUND', { entity: textOfWords(event.parent), what: 'parent' })
    if (!mayWrite(view, to, this.#judge.identity))
      return refuse('NOT_AUTHORIZED', { entity: textOfWords(event.parent), needs: 'write' })
    const closed = checkPlace(view, this.#trust.level, to, event.collection)
    if (closed) return closed
    if (isBelow(view, to, row)) return refuse('TREE_CYCLE', { entity: textOfWords(wordsOfEvent(event)) })
    if (depthOf(view, to) + 1 + heightOf(view, row) > TREE_DEPTH_MAX)
      return refuse('TREE_DEPTH', { max: TREE_DEPTH_MAX })
    const list = obtainList(view, this.#journal, to, obtainName(view, this.#journal, event.collection))
    if (list.floor > this.#judge.baseSeq) return refuse('STALE_BASE', { collection: event.collection })
    this.#forgetLookups()
    const readBefore = nodeWith(view, 'read', row)
    moveRow(view, this.#journal, row, list)
    // Bodies sealed from now on must not reach other readers than before by a mere change of place.
    const own = event.rare?.policy?.read
    if (readBefore !== row && nodeWith(view, 'read', row) !== readBefore && (own === undefined || own === 'inherit')) {
      return refuse('EPOCH_SHAPE', { what: 'a move to other readers carries a read policy' })
    }
    return event.rare?.policy || event.rare?.epoch
      ? applyOwnPolicy(this.#target, this.#journal, event, this.#judge)
      : undefined
  }

  /** Drops a tombstone. Who writes there from a base that does not know of it is refused by the floor. */
  #forget(event: TransactionEvent, row: number): Refusal | undefined {
    const view = this.#view
    if (row <= 0 || !view.isDead(row))
      return refuse('NOT_FOUND', { entity: textOfWords(wordsOfEvent(event)), what: 'tombstone' })
    const parent = view.parentOf(row)
    const refusal = this.#authorized(event, mayManage(view, parent, this.#judge.identity), 'manage')
    if (refusal) return refusal
    event.row = row
    this.#journal.changing(row)
    view.table.set(row, ROW.version, 0)
    const list = view.children.obtain(parent, view.table.get(row, ROW.collection))
    const before = list.floor
    list.floor = this.#judge.seq
    this.#journal.undoWith(() => {
      list.floor = before
    })
    return undefined
  }

  #authorized(event: TransactionEvent, may: boolean, needs: string): Refusal | undefined {
    return may ? undefined : refuse('NOT_AUTHORIZED', { entity: textOfWords(wordsOfEvent(event)), needs })
  }

  #nextVersion(event: TransactionEvent): Refusal | undefined {
    const version = this.#view.table.get(event.row, ROW.version)
    if (event.version === 0 || event.version === version + 1) return undefined
    return refuse('CONFLICT', { entity: textOfWords(wordsOfEvent(event)), expected: event.version - 1, found: version })
  }

  #kept(row: number): Refusal | undefined {
    return retained(this.#view.extraOf(row), this.#judge) ?? checkUnlocked(this.#view, row)
  }

  #setExpiry(event: TransactionEvent): Refusal | undefined {
    // A sweep would end a role without ending its members' rights, and nobody could take them away any more.
    if (this.#trust.roles.get(entityKey(event))?.row === event.row)
      return refuse('RESERVED_NAME', { what: 'a role does not expire' })
    const { expires, ttl } = event.rare ?? {}
    const at = expires ?? (ttl === undefined ? undefined : this.#judge.time + ttl)
    this.#journal.changing(event.row)
    this.#view.setExtra(event.row, { ...this.#view.extraOf(event.row), expires: at })
    return undefined
  }

  #growRetention(event: TransactionEvent): Refusal | undefined {
    const extra = this.#view.extraOf(event.row)
    const { retain = extra.retain, holds = [] } = event.rare ?? {}
    if (retain < extra.retain) return refuse('RETAIN_SHRINKS', { until: extra.retain })
    const lock = event.rare?.lock === undefined ? extra.lock : growLock(this.#view, event.row, event.rare.lock)
    if (lock && 'code' in lock) return lock
    this.#journal.changing(event.row)
    const all = [...extra.holds, ...holds.filter((hold) => !extra.holds.includes(hold))]
    if (all.length > COUNTERS_MAX) return refuse('RETAINED', { holds: all.length, max: COUNTERS_MAX })
    const witnesses = this.#nameWitnesses(event) ?? extra.witnesses
    this.#view.setExtra(event.row, { ...extra, retain, holds: all, lock, witnesses })
    // What may be created below has changed.
    this.#forgetLookups()
    return undefined
  }

  #nameWitnesses({ rare }: TransactionEvent): number | undefined {
    if (!rare?.witnesses) return undefined
    const { set, undo } = this.#view.witnesses.add(rare.witnesses.keys, rare.witnesses.quorum)
    this.#journal.undoWith(undo)
    return set
  }

  /** A body counts only under the newest epoch of its read node, and only if no reader was removed since. */
  #checkSeal(event: TransactionEvent): Refusal | undefined {
    const node = event.readNode
    const epoch = this.#trust.newestEpoch(node)
    const readers = this.#view.policyOf(node)?.read
    if (!epoch || readers === undefined) return refuse('STALE_EPOCH', { what: 'the node has no epoch' })
    event.epoch = epoch.number
    if (isStale(this.#trust, epoch, readers))
      return refuse('STALE_EPOCH', { epoch: epoch.number, node: this.#view.idText(node) })
    if (!this.#blocks) return undefined
    const block = this.#blocks[event.block]!
    let blockRow = this.#blockRows[event.block]
    if (blockRow === undefined || blockRow < 0) {
      blockRow = this.#view.table.find(block.node.a, block.node.b, block.node.c, block.node.d)
      this.#blockRows[event.block] = blockRow
    }
    return blockRow === node && block.epoch === epoch.number
      ? undefined
      : refuse('STALE_EPOCH', { epoch: block.epoch, newest: epoch.number })
  }

  #forgetLookups(): void {
    this.#parent = undefined
    this.#list = undefined
  }
}
