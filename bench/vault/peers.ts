/** What else keeps a secret in a file: each put is synced before it answers. Peers that are not installed are left out. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { load } from '../peers/load.ts'

export interface SecretStore {
  readonly name: string
  /** How often it is worth being asked. */
  readonly calls: number
  put(name: string, value: string): Promise<void>
  get(name: string): Promise<string>
}

export async function storesBeside(folder: string): Promise<SecretStore[]> {
  mkdirSync(folder, { recursive: true })
  const stores: SecretStore[] = [plainFile(folder)]
  for (const make of [age, dotenvx]) {
    try {
      stores.push(await make(folder))
    } catch (error) {
      console.log(`${make.name} is left out: ${(error as Error).message.split('\n')[0]}`)
    }
  }
  return stores
}

function plainFile(folder: string): SecretStore {
  const at = (name: string): string => join(folder, `${name.replaceAll('/', '-')}.txt`)
  return {
    name: 'plain file, one sync, no cipher',
    calls: 200,
    put: (name, value) => writeSynced(at(name), new TextEncoder().encode(value)),
    get: (name) => readFile(at(name), 'utf8'),
  }
}

interface Age {
  readonly Encrypter: new () => { addRecipient(to: string): void; encrypt(text: string): Promise<Uint8Array> }
  readonly Decrypter: new () => {
    addIdentity(identity: string): void
    decrypt(bytes: Uint8Array, as: 'text'): Promise<string>
  }
  generateX25519Identity(): Promise<string>
  identityToRecipient(identity: string): Promise<string>
}

async function age(folder: string): Promise<SecretStore> {
  const { Encrypter, Decrypter, generateX25519Identity, identityToRecipient } = await load<Age>('age-encryption')
  const identity = await generateX25519Identity()
  const recipient = await identityToRecipient(identity)
  const at = (name: string): string => join(folder, `${name.replaceAll('/', '-')}.age`)
  return {
    name: 'age-encryption, a file each, one sync',
    calls: 200,
    async put(name, value) {
      const encrypter = new Encrypter()
      encrypter.addRecipient(recipient)
      await writeSynced(at(name), await encrypter.encrypt(value))
    },
    async get(name) {
      const decrypter = new Decrypter()
      decrypter.addIdentity(identity)
      return decrypter.decrypt(await readFile(at(name)), 'text')
    },
  }
}

/** Left out, keys go to where the bench was called, and each call prints a line. */
interface DotenvxFiles {
  readonly path: string
  readonly envKeysFile: string
  readonly quiet: true
}

interface Dotenvx {
  set(key: string, value: string, options: DotenvxFiles & { readonly encrypt: boolean }): unknown
  get(key: string, options: DotenvxFiles): unknown
}

/** One file for all: a put writes all of it, and nothing syncs it. */
async function dotenvx(folder: string): Promise<SecretStore> {
  const module = await load<{ default?: Dotenvx } & Dotenvx>('@dotenvx/dotenvx')
  const { set, get } = module.default ?? module
  const files = {
    path: join(folder, `${randomUUID()}.env`),
    envKeysFile: join(folder, '.env.keys'),
    quiet: true,
  } as const
  writeFileSync(files.path, '')
  const keyOf = (name: string): string => name.replaceAll(/[^a-z0-9]/gi, '_').toUpperCase()
  return {
    name: 'dotenvx, one file, no sync',
    calls: 50,
    async put(name, value) {
      await set(keyOf(name), value, { ...files, encrypt: true })
    },
    async get(name) {
      return String(await get(keyOf(name), files))
    },
  }
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'w')
  try {
    await file.write(bytes)
    await file.datasync()
  } finally {
    await file.close()
  }
}
