/** `ate consent` and `ate person`: the keys of a person on a chain. All that is printed is public. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import {
  AteError,
  type Chain,
  type Consent,
  consentTo,
  type Fingerprint,
  type PersonChange,
  type PersonInfo,
  type Removal,
} from '@ate/core'
import { CommanderError } from 'commander'
import { type ActingOptions, actingIdentity } from './acting.ts'
import { openPlace, type PlaceOptions } from './open-place.ts'
import { print, toJson } from './output.ts'

export interface ConsentOptions extends ActingOptions {
  readonly chain: string
  readonly person: string
}

export interface PersonOptions extends PlaceOptions {
  readonly of?: string
  readonly owner?: boolean
  readonly json?: boolean
}

export async function consent(options: ConsentOptions): Promise<void> {
  await print(consentTo(await actingIdentity(options), options))
}

type Act = (change: PersonChange, key: string, options: PersonOptions) => Removal | undefined

const ACTS: Readonly<Record<string, Act>> = {
  add: (change, key, { owner }) => {
    change.add(consentIn(key), owner ? { standing: 'owner' } : {})
    return undefined
  },
  remove: (change, key) => change.remove(key as Fingerprint),
  rotate: (change, key) => change.rotate(consentIn(key)),
  renew: (change) => change.renew(),
}

/** Without an action the persons of the chain are listed. */
export async function person(
  place: string,
  action: string | undefined,
  key: string | undefined,
  options: PersonOptions,
): Promise<void> {
  const act = action === undefined ? undefined : ACTS[action]
  if (action !== undefined && (!act || (key === undefined) !== (action === 'renew')))
    throw wrongArguments('an action is add FILE, remove FINGERPRINT, rotate FILE or renew')
  await using chain = await openPlace(place, options, act ? 'write' : 'read')
  const removal = act && (await chain.transact((tx) => act(tx.person(options.of), key ?? '', options)))
  await print(options.json ? toJson({ persons: chain.persons(), ...removal }) : text(chain, options, removal))
}

function wrongArguments(what: string): CommanderError {
  process.stderr.write(`error: ${what}\n`)
  return new CommanderError(2, 'ate.person', what)
}

/** A consent is 10 kB: it comes in a file, or as it is. */
function consentIn(fileOrText: string): Consent {
  if (fileOrText.startsWith('atec1')) return fileOrText as Consent
  try {
    return readFileSync(fileOrText, 'utf8').trim() as Consent
  } catch (cause) {
    const hint = 'there is no such file; `ate consent` on the new device prints what belongs into it'
    throw new AteError('BAD_CONSENT', { file: fileOrText }, { cause, hint })
  }
}

function text(chain: Chain, { of }: PersonOptions, removal: Removal | undefined): string {
  const found = of === undefined ? chain.persons() : [chain.person(of)].filter((one) => one !== undefined)
  const lines = found.length > 0 ? found.map(personText) : ['Nobody here has more than one key.']
  if (removal) {
    lines.push(`locked anew: ${removal.rekeyed.length} of ${removal.couldRead.length} places that the key could read`)
    if (removal.stale.length > 0) lines.push(`locked anew by their next writer: ${removal.stale.join(' ')}`)
  }
  return lines.join('\n')
}

function personText({ fingerprint, keys, revoked }: PersonInfo): string {
  const list = keys.map((key) => `\n  ${key.standing.padEnd(8)}${key.fingerprint}`)
  return `person ${fingerprint}${revoked ? ', revoked' : ''}${list.join('')}`
}
