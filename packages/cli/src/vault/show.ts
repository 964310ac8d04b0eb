/** `get`, `ls`, `history`, `diff`, `who`, `audit`: what is there. Values are shown by `get` alone, and by `diff --reveal`. */
import process from 'node:process'
import { AteError, type Fingerprint } from '@ate/core'
import type { SecretInfo, SecretValue, Vault, Version } from '@ate/vault'
import { counted, print, printable, timeText, toJson } from '../output.ts'
import { parseReference, type VaultOptions, withVault } from './open.ts'
import { contentOf, fieldOf, writeSecret } from './output.ts'

export interface GetOptions extends VaultOptions {
  readonly revision?: number
  readonly out?: string
  readonly raw?: boolean
}

export async function get(reference: string, options: GetOptions): Promise<void> {
  const { path, field } = parseReference(reference)
  await withVault(options, 'read', async (vault) => {
    const { revision, json, out, raw } = options
    const found = await vault.secret<SecretValue>(path).get(revision === undefined ? {} : { version: revision })
    const value = fieldOf(found.value, path, field)
    const content = json ? toJson({ path, version: found.version, value }, 2) : contentOf(value)
    // Text for people and pipes ends with a line break; bytes, files and `--raw` get nothing added.
    const isText = typeof content === 'string' && out === undefined && !raw
    await writeSecret(isText ? `${content}\n` : content, out)
    found[Symbol.dispose]()
  })
}

export async function list(
  prefix: string | undefined,
  options: VaultOptions & { readonly all?: boolean },
): Promise<void> {
  await withVault(options, 'read', async (vault) => {
    let count = 0
    for await (const info of vault.list(prefix)) {
      if (info.state === 'destroyed' && !options.all) continue
      count++
      await print(options.json ? toJson(info) : lineOf(info))
    }
    if (count === 0 && !options.json) process.stderr.write('no secrets here that this identity may list\n')
  })
}

function lineOf({ path, latest, updated, state, kind, expires, meta }: SecretInfo): string {
  const notes = [
    ...(state === 'live' ? [] : [state]),
    ...(kind === 'secret' ? [] : [kind]),
    ...(expires && state === 'live' ? [`expires ${timeText(expires.getTime())}`] : []),
    ...Object.entries(meta).map(([name, value]) => `${printable(name)}=${printable(value)}`),
  ]
  return [printable(path), `v${latest}`, timeText(updated.getTime()), ...notes].join('  ')
}

export async function history(path: string, options: VaultOptions): Promise<void> {
  await withVault(options, 'read', async (vault) => {
    for await (const version of vault.secret(path).versions())
      await print(options.json ? toJson(version) : versionLine(version))
  })
}

function versionLine({ n, at, by, state, expires }: Version): string {
  return [
    `v${n}`,
    timeText(at.getTime()),
    `by ${by}`,
    state,
    ...(expires ? [`expires ${timeText(expires.getTime())}`] : []),
  ].join('  ')
}

/** Which fields differ; what they hold only with `--reveal`. */
export async function diff(
  path: string,
  from: number,
  to: number | undefined,
  options: VaultOptions & { readonly reveal?: boolean },
): Promise<void> {
  await withVault(options, 'read', async (vault) => {
    const secret = vault.secret<SecretValue>(path)
    const [a, b] = [await secret.get({ version: from }), await secret.get(to === undefined ? {} : { version: to })]
    const [before, after] = [fieldsOf(a.value), fieldsOf(b.value)]
    const lines: string[] = []
    for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      const [was, is] = [before.get(name), after.get(name)]
      if (was === is) continue
      const shown = (text: string | undefined): string => (options.reveal ? `  ${printable(text ?? '')}` : '')
      if (was !== undefined) lines.push(`- ${printable(name)}${shown(was)}`)
      if (is !== undefined) lines.push(`+ ${printable(name)}${shown(is)}`)
    }
    if (lines.length === 0) await print(`v${a.version} and v${b.version} are the same`)
    else await writeSecret(`--- v${a.version}\n+++ v${b.version}\n${lines.join('\n')}\n`, undefined)
  })
}

function fieldsOf(value: SecretValue): Map<string, string> {
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array) && !Array.isArray(value))
    return new Map(
      Object.entries(value).map(([name, item]) => [name, typeof item === 'string' ? item : JSON.stringify(item)]),
    )
  return new Map([
    ['(value)', value instanceof Uint8Array ? Buffer.from(value).toString('base64') : String(contentOf(value))],
  ])
}

export async function who(path: string, options: VaultOptions): Promise<void> {
  await withVault(options, 'read', async (vault) => {
    const found = await vault.who(path)
    if (options.json) {
      await print(
        toJson(
          found.map((one) => ({ ...one, members: one.members.map(({ publicId: _, ...rest }) => rest) })),
          2,
        ),
      )
      return
    }
    for (const { from, role, at, can, by, members, everyone } of found) {
      const grants = by.map(
        ({ pattern, until }) => `${printable(pattern)}${until ? ` until ${timeText(until.getTime())}` : ''}`,
      )
      const who = role === undefined ? (everyone ? 'everyone' : 'a key') : `${printable(role)}${at ? ` of ${at}` : ''}`
      const why = from === 'policies' ? ['policies of the chain, and no grant that counts'] : grants
      await print(`${who}: ${can.join(', ')}${why.length > 0 ? `  (by ${why.join(', ')})` : ''}`)
      for (const { fingerprint, until } of members)
        await print(`  ${fingerprint}${until ? `  until ${timeText(until.getTime())}` : ''}`)
    }
  })
}

export async function audit(
  path: string | undefined,
  options: VaultOptions & { readonly from?: number },
): Promise<void> {
  await withVault(options, 'read', async (vault, chain) => {
    const { from } = options
    let count = 0
    for await (const event of vault.audit({
      ...(path === undefined ? {} : { path }),
      ...(from === undefined ? {} : { from }),
    })) {
      count++
      const person = chain.person(event.by as Fingerprint)?.fingerprint
      if (options.json) await print(toJson({ ...event, ...(person ? { person } : {}) }))
      else {
        const what = [
          event.path === undefined ? undefined : printable(event.path),
          event.version && `v${event.version}`,
          event.detail && printable(event.detail),
        ]
        await print(
          [`#${event.seq}`, timeText(event.at.getTime()), event.by, event.act, ...what.filter(Boolean)].join('  '),
        )
      }
    }
    if (count === 0 && path !== undefined) await assertKnown(vault, path)
  })
}

/**
 * Nothing since a record is an answer of a path where something was done before, and of a secret that is there; of one that was
 * mistyped it is none. @throws AteError NOT_FOUND
 */
async function assertKnown(vault: Vault, path: string): Promise<void> {
  for await (const _ of vault.audit({ path })) return
  for await (const { path: listed } of vault.list()) if (listed === path) return
  const hint =
    'nothing was done at this path that this identity may see, and no secret is there: `ate vault ls` lists them; of a grant the path is its pattern, of a member the role'
  throw new AteError('NOT_FOUND', { path }, { hint })
}

/** What a removal answers: to be changed at its source. */
export async function printCouldRead(
  couldRead: readonly SecretInfo[],
  waiting: readonly string[],
  json: boolean | undefined,
): Promise<void> {
  if (json) {
    await print(toJson({ couldRead: couldRead.map(({ path }) => path), waiting }, 2))
    return
  }
  await print(
    `could read until now: ${counted(couldRead.length, 'secret')}${couldRead.length > 0 ? '; change them at their source' : ''}`,
  )
  for (const { path } of couldRead) await print(`  ${printable(path)}`)
  for (const pattern of waiting)
    await print(`  ${printable(pattern)} waits for a new key: who writes there next makes it`)
}
