/**
 * All that a replica's view and trust say, as text in one order, so that two states are equal exactly if their texts are.
 * Names stand for numbers and ids for rows: neither the order in which names came nor growth of tables shows.
 */
import { toBinaryText, toHex } from '../../src/base/bytes.ts'
import type { Replica } from '../../src/chain/replica.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { bytesOfWords } from '../../src/event/entity-words.ts'
import { encodeRare } from '../../src/event/rare-fields.ts'
import type { Policy, PolicyList } from '../../src/trust/policy.ts'
import { DEAD, NAMED, NO_RECORD, PENDING, ROW } from '../../src/view/entity-table.ts'
import type { View } from '../../src/view/view.ts'

type State = Pick<Replica, 'view' | 'trust'>

const short = (bytes: Uint8Array): string => toHex(nobleProvider.sha256(bytes).subarray(0, 6))
const hexOf = (binary: string): string => toHex(Uint8Array.from(binary, (c) => c.charCodeAt(0)).subarray(0, 6))

function idOf(view: View, row: number): string {
  return toHex(bytesOfWords(view.wordsOf(row)))
}

function listText(list: PolicyList | undefined): string {
  if (list === undefined) return '-'
  if (typeof list === 'string') return list
  return list
    .map((entry) =>
      entry.role ? `role ${toHex(bytesOfWords(entry.role.id))} ${entry.role.row}` : hexOf(entry.identity),
    )
    .join(',')
}

function policyText(policy: Policy | undefined): string {
  if (!policy) return 'none'
  const { read, write, manage, closed, allow, history } = policy
  return `r=${listText(read)} w=${listText(write)} m=${listText(manage)} closed=${closed} a=${listText(allow)} h=${history}`
}

function placeText(view: View, row: number): string {
  const { table } = view
  const record = table.get(row, ROW.record)
  if (record === NO_RECORD) return 'no body'
  const words = [table.get(row, ROW.blockAndFlags) & 0xff, table.get(row, ROW.offset), table.get(row, ROW.size)]
  for (let i = 0; i < 8 && record !== PENDING; i++) words.push(table.get(row, ROW.hash + i))
  return `${record}:${words.join('.')}`
}

function setText({ witnesses }: View, set = -1): string {
  const found = witnesses.sets[set]
  return found
    ? `${found.quorum}/${found.members.map((id) => `${hexOf(id)}@${witnesses.times.get(id)}`).join(',')}`
    : '-'
}

function rowText(view: View, row: number): string {
  const { table, names } = view
  const flags = table.get(row, ROW.blockAndFlags) & (DEAD | NAMED)
  const { counters, expires, retain, holds, lock, witnesses } = view.extraOf(row)
  const numbers = counters.map(({ name, value, floor, ceiling, unit, up, down }) =>
    [name, value, floor, ceiling, unit === undefined ? '' : idOf(view, unit), listText(up), listText(down)].join('/'),
  )
  return [
    idOf(view, row),
    `in ${idOf(view, view.parentOf(row))} ${names.text(table.get(row, ROW.collection))}`,
    `type ${names.text(table.get(row, ROW.type))} v${table.get(row, ROW.version)} s${table.get(row, ROW.subtree)} f${flags}`,
    placeText(view, row),
    policyText(view.policyOf(row)),
    `counters ${numbers.join(' ')} expires ${expires} retain ${retain} holds ${holds.join(',')} lock ${lock?.mode} ${setText(view, lock?.witnesses)} ${setText(view, witnesses)}`,
  ].join(' | ')
}

/** Lists in use, with the children that are alive in their order. */
function listTexts(view: View, row: number): string[] {
  return view.children
    .of(row)
    .filter(({ live, version, floor }) => live !== 0 || version !== 0 || floor !== 0)
    .map((list) => {
      const children: string[] = []
      for (let i = 0; i < list.length; i++) {
        const child = list.items[i]!
        const here = view.table.get(child, ROW.slot) === i && view.table.get(child, ROW.parent) === row
        const inList = here && view.table.get(child, ROW.collection) === list.collection
        if (inList && !view.isDead(child)) children.push(idOf(view, child).slice(0, 12))
      }
      const name = view.names.text(list.collection)
      return `list ${idOf(view, row)} ${name} live ${list.live} v${list.version} floor ${list.floor}: ${children.join(' ')}`
    })
}

function viewText(view: View): string {
  const lines: string[] = []
  for (let row = 0; row < view.table.rows; row++) lines.push(rowText(view, row), ...listTexts(view, row))
  return lines.sort().join('\n')
}

/** What the fold decides of who may do what; certificates apart, since a void commit uses up its number. */
function trustText({ view, trust }: State): string {
  const lines: string[] = []
  for (const [name, keys] of trust.identities) lines.push(`identity ${hexOf(name)} ${short(keys)}`)
  for (const role of trust.roles.values()) {
    const generations = role.generations.map(
      ({ number, publicKey, wraps }) =>
        `${number} ${short(publicKey)} ${[...wraps].map(([to, { wrapped, generation }]) => `${hexOf(to)}@${generation}:${short(wrapped)}`).sort()}`,
    )
    const members = [...role.members].map(hexOf).sort()
    const id = toHex(bytesOfWords(role.id))
    lines.push(
      `role ${id} ${role.name} at ${idOf(view, role.node)} ${members} [${generations.join(' ; ')}] ${role.rotatedAt} ${role.stale} ${role.dropped}`,
    )
  }
  for (const { name, keys, generations, rotatedAt } of trust.persons.values()) {
    const list = [...keys].map(([key, { standing }]) => `${hexOf(key)} ${standing}`)
    const numbers = generations.map(
      ({ number, publicKey, wraps, link }) =>
        `${number} ${short(publicKey)} ${[...wraps.keys()].map(hexOf)} ${link && short(link)}`,
    )
    lines.push(`person ${hexOf(name)} ${list} [${numbers.join(' ; ')}] ${rotatedAt}`)
  }
  for (const [key, { name }] of trust.personOfKey) lines.push(`key ${hexOf(key)} of ${hexOf(name)}`)
  for (const [row, epochs] of trust.epochs) {
    const list = epochs.map(({ number, tick, fields }) => `${number} ${tick} ${short(encodeRare({ epoch: fields }))}`)
    lines.push(`epochs ${idOf(view, row)} ${list.join(' ; ')}`)
  }
  for (const { id, ended } of trust.certificates.values()) if (ended) lines.push(`ended ${toHex(id)}`)
  for (const { seq, from, hash } of trust.recoveries) lines.push(`recovery ${seq} from ${from} ${toHex(hash)}`)
  const sequencers = typeof trust.sequencers === 'string' ? trust.sequencers : trust.sequencers.map(hexOf).join()
  lines.push(`tick ${trust.tick} level ${trust.level} by ${sequencers} checkpoints ${trust.checkpointKeys.map(short)}`)
  return lines.sort().join('\n')
}

/** View and trust: what a refusal must leave as it was. */
export function stateText(state: State): string {
  return `${viewText(state.view)}\n${trustText(state)}`
}

/** Everything: the state, numbers of writers, time, head, voids. Two readers of one log have the same. */
export function replicaText(replica: Replica): string {
  const certificates = [...replica.trust.certificates.values()].map(
    ({ id, identity, until, mark, ended, unattested }) =>
      `certificate ${toHex(id)} ${hexOf(identity)} ${until} ${mark} ${ended} ${unattested.map((commit) => `${commit.writerSeq}@${commit.seq} ${short(commit.hash)}`)}`,
  )
  const voids = [...replica.voids].map(
    ([seq, reasons]) => `void ${seq} ${[...reasons].map(([index, { code }]) => `${index} ${code}`)}`,
  )
  const { head, chainTime, checkpoints, tree, hashes } = replica
  return [
    stateText(replica),
    ...certificates.sort(),
    ...voids,
    `head ${head.seq} ${toHex(head.hash)} time ${chainTime} checkpoints ${checkpoints} tree ${toHex(tree.root())} hashes ${hashes.size}`,
    `identities ${[...replica.trust.identities.keys()].length} ${toBinaryText(replica.chainId).length}`,
  ].join('\n')
}
