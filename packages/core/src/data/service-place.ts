/**
 * Where a service stands in the tree, and who may do what there:
 *
 *   parent / `service/NAME` / service        read: everyone   write: service
 *     / `leases` / lease, named by its slot: which instance is at it
 *   parent / `service/NAME` / lobby          read: everyone   write, allow: service and callers
 *     / `desks` / desk, one a process        read, write: service and that caller; made by the caller, for itself
 *       / `slots` / slot, one a call at a time: the request, and then the reply in its place
 *
 * What everyone reads there says nothing: that somebody calls, and when, stands in clear in the log anyway. And keys that
 * nobody holds need no new generation when callers come and go.
 * A request is read by its caller and the service, and so is its reply; a caller can make neither leases nor replies
 * for others. Slots and leases are named, and used again and again: calls leave no rows behind in the view.
 */
import { toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type EntityId, type Fingerprint, fingerprintOf } from '../base/ids.ts'
import { SERVICE_REASON_MAX, SERVICE_TEXT_MAX } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { isInList } from '../chain/fold-tree.ts'
import { parseEntityId } from '../event/entity-words.ts'
import { publicIdentity } from '../session/identity.ts'
import { mayWrite, type PolicyList, withoutDropped } from '../trust/policy.ts'
import { PENDING, ROW } from '../view/entity-table.ts'
import { Chain } from './chain.ts'
import { type EntityRef, parentWords } from './entity.ts'
import { defineType, type EntityType } from './entity-type.ts'
import { type Principal, role } from './policy-input.ts'
import type { ServiceType } from './service-type.ts'
import type { StandardSchema } from './standard-schema.ts'

/** What a slot holds. A reply stands where its request stood. */
export type SlotValue = AskedCall | AnsweredCall | FailedCall | { readonly state: 'free' }

export interface AskedCall {
  readonly state: 'asked'
  readonly call: string
  readonly procedure: string
  readonly input?: unknown
}

export interface AnsweredCall {
  readonly state: 'answered'
  readonly call: string
  readonly output?: unknown
}

export interface FailedCall {
  readonly state: 'failed'
  readonly call: string
  readonly code: string
  readonly facts: Readonly<Record<string, string>>
}

/** Which try of which call holds the slot. */
export interface LeaseValue {
  readonly call: string
  /** Drawn for each try: what is not this one's is another's. */
  readonly token: string
}

export const Service: EntityType<{ readonly format: number }> = defineType('service')
export const Lobby: EntityType<null> = defineType('service/lobby')
export const Desk: EntityType<null> = defineType('service/desk')
export const Slot: EntityType<SlotValue> = defineType('service/slot', checked<SlotValue>(isSlot))
export const Lease: EntityType<LeaseValue> = defineType('service/lease', checked<LeaseValue>(isLease))

export const DESKS = 'desks'
export const SLOTS = 'slots'
export const LEASES = 'leases'

export interface ServicePlace {
  readonly name: string
  readonly service: EntityId
  readonly serviceRow: number
  readonly lobby: EntityId
  readonly lobbyRow: number
}

export interface FoundOptions {
  /** Who may serve: best a role, so that instances come and go. This identity if left out. */
  readonly by?: readonly Principal[]
  /** Who may call, besides the service itself. */
  readonly callers?: readonly Principal[]
  /** The entity below which the service stands; the root of the chain if left out. */
  readonly parent?: EntityRef
}

/**
 * Makes the place of a service; needs manage of the parent, and write there. If it is there already, `by` and `callers`
 * are changed to what is given.
 * @throws AteError NOT_AUTHORIZED | NO_ROLE | NOT_FOUND and those of transact
 */
export async function foundService<P extends object>(
  chain: Chain,
  type: ServiceType<P>,
  options: FoundOptions = {},
): Promise<void> {
  const core = Chain.coreOf(chain)
  await chain.transact((tx) => {
    const found = findService(chain, type.name, options.parent, 'staged')
    const by = distinct(options.by ?? (found ? principalsOf(core, writersOf(core, found.serviceRow)) : [core.identity]))
    const known = found ? principalsOf(core, writersOf(core, found.lobbyRow)) : []
    const all = distinct([...by, ...(options.callers ?? known)])
    if (found) {
      if (!options.by && !options.callers) return
      tx.setPolicy(found.service, { write: by })
      tx.setPolicy(found.lobby, { write: all, allow: all })
      return
    }
    const within = collectionOf(type.name)
    // Two who found it at the same time: the second runs again, and finds that of the first.
    tx.guard.members(options.parent, within, membersOf(core, options.parent, within))
    const place = { ...(options.parent === undefined ? {} : { parent: options.parent }), in: within }
    // Beside each other, not one below the other: who founds a service need not be of it.
    tx.create(Service, { format: 1 }, { ...place, read: 'everyone', write: by })
    tx.create(Lobby, null, { ...place, read: 'everyone', write: all, allow: all })
  })
}

/** The service of a name, if it was founded here: as readers see it, or with what is staged. */
export function findService(
  chain: Chain,
  name: string,
  parent: EntityRef | undefined,
  state: 'acknowledged' | 'staged' = 'acknowledged',
): ServicePlace | undefined {
  const core = Chain.coreOf(chain)
  const { view } = core.replica
  const { a, b, c, d } = parentWords(parent, core.chainId)
  const rows = rowsIn(core, view.findLive(a, b, c, d), collectionOf(name)).filter((row) => {
    const policy = view.policyOf(row)
    // Who may only write at the parent can put an entity there, but none with policies of its own: that takes a manager.
    const isFounded = policy?.read !== undefined && policy.write !== undefined
    return isFounded && (state === 'staged' || view.isVisible(row))
  })
  const serviceRow = rows.find((row) => view.typeOf(row) === Service.name)
  const lobbyRow = rows.find((row) => view.typeOf(row) === Lobby.name)
  if (serviceRow === undefined || lobbyRow === undefined) return undefined
  return { name, service: view.idText(serviceRow), serviceRow, lobby: view.idText(lobbyRow), lobbyRow }
}

/** The children of a collection that are alive for the next transaction. */
function rowsIn({ replica: { view } }: ChainCore, parent: number, collection: string): number[] {
  const number = view.names.find(collection)
  const list = parent < 0 || number === undefined ? undefined : view.children.find(parent, number)
  if (!list) return []
  return [...list.items.subarray(0, list.length)].filter((row, i) => isInList(view, list, i, row))
}

/** Whom the desk of a caller names, so that nobody else reads or writes there. */
export function deskPrincipals(core: ChainCore, place: ServicePlace): readonly Principal[] {
  return distinct([...principalsOf(core, writersOf(core, place.serviceRow)), core.identity])
}

/** True if the slot stands at a desk in the lobby of this service. */
export function isSlotOf({ replica: { view } }: ChainCore, place: ServicePlace, slotRow: number): boolean {
  if (view.typeOf(slotRow) !== Slot.name || !isIn(view, slotRow, SLOTS)) return false
  const desk = view.parentOf(slotRow)
  return view.parentOf(desk) === place.lobbyRow && isIn(view, desk, DESKS)
}

function isIn(view: ChainCore['replica']['view'], row: number, collection: string): boolean {
  return view.names.text(view.table.get(row, ROW.collection)) === collection
}

/** All slots of a service, whatever stands in them. */
export function slotsOf(chain: Chain, place: ServicePlace): EntityId[] {
  const desks = chain.children(Desk, place.lobby, DESKS).ids()
  return desks.flatMap((desk) => chain.children(Slot, desk, SLOTS).ids() as EntityId[])
}

/** For whom the key acted that wrote the newest value of an entity. Undefined if the entity or its author is gone. */
export async function authorOf(core: ChainCore, id: EntityId): Promise<string | undefined> {
  const { view, trust } = core.replica
  const row = rowOf(core, id)
  if (row < 0) return undefined
  const record = view.table.get(row, ROW.record)
  if (record === PENDING) return core.identityName
  if (record < 0) return undefined
  const certificate = trust.certificates.get(toBinaryText((await core.bodies.placesOf(record)).writer))
  return certificate && trust.actorOf(certificate.identity)
}

export function fingerprintOfName(name: string): Fingerprint {
  return fingerprintOf(Uint8Array.from(name, (letter) => letter.charCodeAt(0)))
}

/** Whether an identity, by its name in policies, is of the service, or may call it. */
export function isAllowed(core: ChainCore, place: ServicePlace, name: string, to: 'serve' | 'call'): boolean {
  return mayWrite(core.replica.view, to === 'serve' ? place.serviceRow : place.lobbyRow, name)
}

/** The row of an entity, dead or alive; -1 if there never was one. */
function rowOf({ replica: { view } }: ChainCore, id: string): number {
  const { a, b, c, d } = parseEntityId(id)
  return view.table.find(a, b, c, d)
}

/** True if the entity stands in the view and its time is over: a sweep has not come yet. */
export function isOverdue(core: ChainCore, id: string): boolean {
  const { view } = core.replica
  const row = rowOf(core, id)
  const expires = row < 0 || view.isDead(row) ? undefined : view.extraOf(row).expires
  return expires !== undefined && expires <= core.now
}

/** Chain time in Unix ms from which the entity counts as gone. */
export function expiryOf(core: ChainCore, id: string): number | undefined {
  const row = rowOf(core, id)
  return row < 0 ? undefined : core.replica.view.extraOf(row).expires
}

function collectionOf(name: string): string {
  return `service/${name}`
}

function membersOf({ replica: { view }, chainId }: ChainCore, parent: EntityRef | undefined, within: string): number {
  const { a, b, c, d } = parentWords(parent, chainId)
  const number = view.names.find(within)
  return (number === undefined ? undefined : view.children.find(view.table.find(a, b, c, d), number))?.version ?? 0
}

function writersOf({ replica: { view } }: ChainCore, row: number): PolicyList {
  return view.policyOf(row)!.write!
}

/** A stored list as an author names it. */
function principalsOf({ crypto, replica: { trust } }: ChainCore, list: PolicyList): Principal[] {
  if (typeof list === 'string') throw new AteError('NO_SERVICE', { what: 'a service names who serves and who calls' })
  return withoutDropped(list, trust.persons).map((entry) =>
    entry.role ? role(entry.role.name) : publicIdentity(crypto, trust.identities.get(entry.identity)!),
  )
}

function distinct(principals: readonly Principal[]): Principal[] {
  const byName = new Map<string, Principal>()
  for (const principal of principals) {
    const isRole = typeof principal === 'object' && principal !== null && 'role' in principal
    const name = isRole ? `role ${principal.role}` : typeof principal === 'string' ? principal : principal?.publicId
    byName.set(String(name), principal)
  }
  return [...byName.values()]
}

/** What others have written is looked at before it is believed to have a shape. */
function checked<T>(is: (value: object) => boolean): StandardSchema<unknown, T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'ate',
      validate: (value) =>
        typeof value === 'object' && value !== null && is(value)
          ? { value: value as T }
          : { issues: [{ message: 'is not of the shape that services write' }] },
    },
  }
}

function isSlot(value: object): boolean {
  const { state, call, procedure, code, facts } = value as Readonly<Record<string, unknown>>
  if (state === 'free') return true
  if (!isShort(call)) return false
  if (state === 'asked') return typeof procedure === 'string'
  if (state === 'answered') return true
  return state === 'failed' && isShort(code) && isFacts(facts)
}

function isFacts(facts: unknown): boolean {
  if (typeof facts !== 'object' || facts === null) return false
  const values: readonly unknown[] = Object.values(facts)
  return values.length <= 16 && values.every((fact) => typeof fact === 'string' && fact.length <= SERVICE_TEXT_MAX)
}

function isLease(value: object): boolean {
  const { call, token } = value as Readonly<Record<string, unknown>>
  return isShort(call) && isShort(token)
}

function isShort(text: unknown): text is string {
  return typeof text === 'string' && text.length <= SERVICE_REASON_MAX
}
