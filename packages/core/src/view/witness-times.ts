/**
 * Whose clocks count for what is kept under compliance: sets of witnesses that nodes have named, and the newest time that
 * each witness has signed on a checkpoint of this log. Only the fold writes it. A set is never changed or dropped, since
 * what was locked under it is judged by it for good; times only grow.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'

export interface NamedWitness {
  readonly name: string
  /** Ed25519, 32 bytes. */
  readonly key: Uint8Array
}

/** Witnesses by id, and how many of them must have said a time. */
export interface WitnessSet {
  readonly quorum: number
  readonly members: readonly string[]
}

/** A lock that names no set. */
export const NO_SET = -1

export class WitnessTimes {
  readonly sets: WitnessSet[] = []
  /** The newest time of each witness that a set names, Unix ms; 0 before the first. */
  readonly times: Map<string, number> = new Map()

  /** The number of a set; `undo` takes back what was new. */
  add(witnesses: readonly NamedWitness[], quorum: number): { readonly set: number; readonly undo: () => void } {
    const members = witnesses.map(idOfWitness)
    const known = this.sets.findIndex((set) => set.quorum === quorum && set.members.join() === members.join())
    if (known >= 0) return { set: known, undo: () => undefined }
    const fresh = members.filter((id) => !this.times.has(id))
    for (const id of fresh) this.times.set(id, 0)
    const set = this.sets.push({ quorum, members }) - 1
    const undo = (): void => {
      this.sets.length = set
      for (const id of fresh) this.times.delete(id)
    }
    return { set, undo }
  }

  /** All witnesses whose times count. */
  witnesses(): readonly NamedWitness[] {
    return [...this.times.keys()].map(witnessOfId)
  }

  witnessesOf(set: number): readonly NamedWitness[] {
    return this.sets[set]!.members.map(witnessOfId)
  }

  /** A witness of a set has signed this time on a checkpoint. */
  note(witness: NamedWitness, at: number): void {
    const id = idOfWitness(witness)
    const before = this.times.get(id)
    if (before !== undefined && at > before) this.times.set(id, at)
  }

  /** The newest time that a quorum of the set has said to be over, Unix ms; 0 if none has. */
  provenAt(set: number): number {
    const found = this.sets[set]
    if (!found) return 0
    const times = found.members.map((id) => this.times.get(id) ?? 0)
    return times.sort((a, b) => b - a)[found.quorum - 1] ?? 0
  }
}

/** 32 characters of the key, one a byte, then the name. */
function idOfWitness({ name, key }: NamedWitness): string {
  return toBinaryText(key) + name
}

function witnessOfId(id: string): NamedWitness {
  return { name: id.slice(32), key: fromBinaryText(id.slice(0, 32)) }
}
