/**
 * Files of SOPS (getsops.io) whose data key is encrypted to an age key: each value is `ENC[AES256_GCM,data:..,iv:..,tag:..,type:..]`,
 * bound to the names above it; the MAC over all values says that none was taken out. The age keys come from SOPS_AGE_KEY or
 * SOPS_AGE_KEY_FILE, as they do for sops.
 */
import { createDecipheriv, createHash, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { AteError } from '@ate/core'
import type { Json } from '@ate/vault'
import { armor, Decrypter } from 'age-encryption'

type Tree = Readonly<Record<string, Json>>

const ENCRYPTED = /^ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:(str|int|float|bool|bytes|comment)\]$/
const DEPTH_MAX = 64

export function isSops(tree: Tree): boolean {
  const { sops } = tree
  return typeof sops === 'object' && sops !== null && 'mac' in sops
}

/** The tree without its metadata. @throws AteError BAD_VALUE | NO_READ_KEY */
export async function decryptSops(tree: Tree, file: string): Promise<Tree> {
  const { sops, ...rest } = tree
  if (typeof sops !== 'object' || sops === null || Array.isArray(sops)) throw bad(file, 'it has no metadata of sops')
  const metadata = sops as Tree
  if (metadata['mac_only_encrypted'] === true)
    throw bad(file, 'its MAC covers encrypted values only, which is not supported')
  const key = await dataKey(metadata, file)
  try {
    const hash = createHash('sha512')
    const open = (item: Json, path: readonly string[], depth: number): Json => {
      if (depth > DEPTH_MAX) throw bad(file, 'it is too deep')
      // Items of a list are bound to the names above the list.
      if (Array.isArray(item)) return item.map((one: Json) => open(one, path, depth + 1))
      if (typeof item === 'object' && item !== null)
        return Object.fromEntries(
          Object.entries(item).map(([name, one]) => [name, open(one as Json, [...path, name], depth + 1)]),
        )
      const value =
        typeof item === 'string' && item.startsWith('ENC[') ? decryptValue(item, key, `${path.join(':')}:`, file) : item
      hash.update(macText(value))
      return value
    }
    const opened = open(rest, [], 0) as Tree
    checkMac(hash.digest('hex').toUpperCase(), metadata, key, file)
    return opened
  } finally {
    key.fill(0)
  }
}

/** As it stands between the quotes of a value, so that the MAC is the same. */
function macText(value: Json): string {
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return value === null ? '' : String(value)
}

function checkMac(digest: string, { mac, lastmodified }: Tree, key: Uint8Array, file: string): void {
  const stated = typeof mac === 'string' ? decryptValue(mac, key, String(lastmodified), file) : ''
  const [a, b] = [Buffer.from(String(stated)), Buffer.from(digest)]
  if (a.length !== b.length || !timingSafeEqual(a, b))
    throw bad(file, 'its MAC does not fit: a value was changed, added or taken out')
}

function decryptValue(text: string, key: Uint8Array, bound: string, file: string): Json {
  const match = ENCRYPTED.exec(text)
  if (!match) throw bad(file, 'a value is not in the form of sops')
  const [data, iv, tag] = [match[1]!, match[2]!, match[3]!].map((part) => Buffer.from(part, 'base64'))
  let plain: string
  try {
    const cipher = createDecipheriv('aes-256-gcm', key, iv!, { authTagLength: 16 })
    cipher.setAAD(Buffer.from(bound))
    cipher.setAuthTag(tag!)
    plain = Buffer.concat([cipher.update(data!), cipher.final()]).toString('utf8')
  } catch {
    throw bad(file, 'a value does not decrypt: it was altered, or moved')
  }
  const type = match[4]!
  if (type === 'int' || type === 'float') return Number(plain)
  return type === 'bool' ? plain.toLowerCase() === 'true' : plain
}

async function dataKey({ age }: Tree, file: string): Promise<Uint8Array> {
  const entries = Array.isArray(age) ? (age as readonly Tree[]) : []
  if (entries.length === 0)
    throw bad(file, 'no age key opens it; keys of cloud services are not supported: use `sops decrypt`')
  const decrypter = new Decrypter()
  const keys = ageKeys()
  if (keys.length === 0)
    throw new AteError(
      'NO_READ_KEY',
      { file },
      { hint: 'set SOPS_AGE_KEY or SOPS_AGE_KEY_FILE to the age key that opens the file' },
    )
  for (const key of keys) decrypter.addIdentity(key)
  for (const { enc } of entries) {
    try {
      const key = await decrypter.decrypt(armor.decode(String(enc)))
      if (key.length === 32) return key
    } catch {
      // Encrypted to somebody else, perhaps.
    }
  }
  throw new AteError('NO_READ_KEY', { file }, { hint: 'none of the age keys opens the file' })
}

function ageKeys(): string[] {
  const file = process.env['SOPS_AGE_KEY_FILE']
  const text = [process.env['SOPS_AGE_KEY'] ?? '', file === undefined ? '' : readFileSync(file, 'utf8')].join('\n')
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line.startsWith('AGE-SECRET-KEY-'))
}

function bad(file: string, what: string): AteError {
  return new AteError('BAD_VALUE', { file, what })
}
