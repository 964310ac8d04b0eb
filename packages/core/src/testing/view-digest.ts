/**
 * What a replica knows, as text that can be compared: of two replicas that folded the same log it is the same, however
 * each came to it. Rows and list slots are left out, because undone work may leave gaps in them.
 */
import { toHex } from '../base/bytes.ts'
import type { Replica } from '../chain/replica.ts'
import { textOfWords } from '../event/entity-words.ts'
import type { PolicyList } from '../trust/policy.ts'
import { DEAD, NAMED, PENDING, ROW } from '../view/entity-table.ts'
import type { Extra, View } from '../view/view.ts'

/** Everything: entities alive and dead, lists, policies, roles, epochs, certificates, time and head. */
export function replicaDigest(replica: Replica): string {
  const { view } = replica
  const lines = [...entityLines(view), ...listLines(view), ...trustLines(replica)]
  lines.push(
    `time ${replica.chainTime} attested ${replica.attestedSeq} checkpoints ${replica.checkpoints} newest ${JSON.stringify(replica.newestCheckpoint)}`,
  )
  for (const [id, at] of view.witnesses.times) lines.push(`witness ${hexOf(id)} at ${at}`)
  lines.push(`head ${replica.head.seq} ${toHex(replica.head.hash)} tree ${toHex(replica.tree.root())}`)
  return lines.join('\n')
}

/** What readers outside of transactions see: no trace of what is staged. */
export function visibleDigest(view: View): string {
  const lines: string[] = []
  for (let row = 1; row < view.table.rows; row++) {
    if (!view.isVisible(row)) continue
    const field = (name: number): number => view.acknowledged(row, name)
    const hash = Array.from({ length: 8 }, (_, i) => field(ROW.hash + i)).join('.')
    lines.push(
      `${view.idText(row)} v${field(ROW.version)} in ${view.idText(field(ROW.parent))}/${view.names.text(field(ROW.collection))} ` +
        `${view.names.text(field(ROW.type))} at ${field(ROW.record)}:${field(ROW.offset)}+${field(ROW.size)} ${hash} ` +
        extraText(view, view.acknowledgedExtra(row)),
    )
  }
  for (let parent = 0; parent < view.table.rows; parent++) {
    for (const { collection, items, length } of view.children.of(parent)) {
      const children: string[] = []
      for (let slot = 0; slot < length; slot++) {
        const row = items[slot]!
        const isHere =
          view.isVisible(row) &&
          view.acknowledged(row, ROW.slot) === slot &&
          view.acknowledged(row, ROW.parent) === parent &&
          view.acknowledged(row, ROW.collection) === collection
        if (isHere) children.push(view.idText(row))
      }
      if (children.length > 0)
        lines.push(`${view.idText(parent)}/${view.names.text(collection)}: ${children.join(' ')}`)
    }
  }
  return lines.sort().join('\n')
}

function entityLines(view: View): string[] {
  const lines: string[] = []
  for (let row = 0; row < view.table.rows; row++) {
    const field = (name: number): number => view.table.get(row, name)
    const flags = field(ROW.blockAndFlags)
    const dead = (flags & DEAD) !== 0
    const record = field(ROW.record)
    const body = dead
      ? ''
      : `${record === PENDING ? 'PENDING' : record}:${flags & 0xff}:${field(ROW.offset)}+${field(ROW.size)}`
    const hash = dead ? '' : Array.from({ length: 8 }, (_, i) => field(ROW.hash + i)).join('.')
    const policy = JSON.stringify(policyText(view, row))
    lines.push(
      `${view.idText(row)} v${field(ROW.version)} ${dead ? 'dead' : 'live'} ${flags & NAMED ? 'named ' : ''}` +
        `in ${view.idText(field(ROW.parent))}/${view.names.text(field(ROW.collection))} ${view.typeOf(row)} subtree ${field(ROW.subtree)} ` +
        `${body} ${hash} ${policy} ${extraText(view, view.extraOf(row))}`,
    )
  }
  return lines.sort()
}

function listLines(view: View): string[] {
  const lines: string[] = []
  for (let parent = 0; parent < view.table.rows; parent++) {
    for (const list of view.children.of(parent)) {
      if (list.version === 0 && list.floor === 0) continue
      const children: string[] = []
      for (let slot = 0; slot < list.length; slot++) {
        const row = list.items[slot]!
        const isHere =
          !view.isDead(row) &&
          view.table.get(row, ROW.slot) === slot &&
          view.table.get(row, ROW.parent) === parent &&
          view.table.get(row, ROW.collection) === list.collection
        if (isHere) children.push(view.idText(row))
      }
      const name = `${view.idText(parent)}/${view.names.text(list.collection)}`
      lines.push(`list ${name} v${list.version} live ${list.live} floor ${list.floor}: ${children.join(' ')}`)
    }
  }
  return lines.sort()
}

function trustLines({ trust, view }: Replica): string[] {
  const lines: string[] = []
  for (const name of trust.identities.keys()) lines.push(`identity ${hexOf(name)}`)
  for (const role of trust.roles.values()) {
    const generations = role.generations.map(
      ({ number, wraps }) => `${number}/${[...wraps.keys()].map(hexOf).sort().join('+')}`,
    )
    const members = [...role.members].map(hexOf).sort().join('+')
    lines.push(
      `role ${textOfWords(role.id)} ${role.name} of ${view.idText(role.node)} ${members} ${generations.join(' ')} at ${role.rotatedAt} ${role.stale ? 'waits' : ''}`,
    )
  }
  for (const { name, keys, generations, rotatedAt } of trust.persons.values()) {
    const list = [...keys].map(([key, { standing }]) => `${hexOf(key)}=${standing}`)
    const numbers = generations.map(({ number, wraps }) => `${number}/${[...wraps.keys()].map(hexOf).sort().join('+')}`)
    lines.push(`person ${hexOf(name)} ${list.join(' ')} ${numbers.join(' ')} at ${rotatedAt}`)
  }
  for (const [key, { name }] of trust.personOfKey) lines.push(`key ${hexOf(key)} of ${hexOf(name)}`)
  for (const [row, epochs] of trust.epochs) {
    const texts = epochs.map(({ number, tick, fields }) => `${number}@${tick}=${toHex(fields.commitment)}`)
    lines.push(`epochs ${view.idText(row)} ${texts.join(' ')}`)
  }
  for (const { id, mark, ended, until, unattested } of trust.certificates.values()) {
    const open = unattested.map(({ seq, writerSeq }) => `${writerSeq}@${seq}`).join(' ')
    lines.push(`certificate ${toHex(id)} mark ${mark} ${ended ? 'ended' : 'open'} until ${until} unattested ${open}`)
  }
  for (const { seq, from, hash } of trust.recoveries) lines.push(`recovery ${seq} from ${from} ${toHex(hash)}`)
  const { level, sequencers, checkpointKeys, tick } = trust
  const order = sequencers === 'writers' ? 'writers' : sequencers.map(hexOf).join('+')
  lines.push(`root level ${level} sequencers ${order} checkpoints ${checkpointKeys.map(toHex).join('+')} tick ${tick}`)
  return lines.sort()
}

function policyText(view: View, row: number): unknown {
  const policy = view.policyOf(row)
  if (!policy) return undefined
  const { read, write, manage, closed, allow, history } = policy
  return {
    read: listText(read),
    write: listText(write),
    manage: listText(manage),
    closed,
    allow: listText(allow),
    history,
  }
}

function listText(list: PolicyList | undefined): unknown {
  if (list === undefined || typeof list === 'string') return list
  return list.map((entry) => (entry.role ? textOfWords(entry.role.id) : hexOf(entry.identity)))
}

function extraText(view: View, { counters, expires, retain, holds, lock, witnesses }: Extra): string {
  const numbers = counters.map(({ name, value, floor, ceiling, unit, up, down }) =>
    [
      name,
      value,
      floor,
      ceiling,
      unit === undefined ? '' : view.idText(unit),
      JSON.stringify([listText(up), listText(down)]),
    ].join(' '),
  )
  const locked = `${lock ? `${lock.mode} ${setText(view, lock.witnesses)}` : ''} witnesses ${setText(view, witnesses)}`
  return `[${numbers.join('; ')}] expires ${expires} retain ${retain} holds ${holds.join('+')} ${locked}`
}

function setText({ witnesses }: View, set: number | undefined): string {
  const found = set === undefined ? undefined : witnesses.sets[set]
  return found ? `${found.quorum} of ${found.members.map(hexOf).join('+')}` : '-'
}

function hexOf(name: string): string {
  let text = ''
  for (let i = 0; i < name.length; i++) text += name.charCodeAt(i).toString(16).padStart(2, '0')
  return text
}
