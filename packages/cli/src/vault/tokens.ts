/** `wrap`, `unwrap`, `transit`: tokens are secrets too, so they come from a pipe or a terminal. */
import process from 'node:process'
import { AteError, type Duration } from '@ate/core'
import type { SecretValue } from '@ate/vault'
import { print, toJson } from '../output.ts'
import { type InputOptions, readInput, readLines, readValue } from './input.ts'
import { usage, type VaultOptions, withVault } from './open.ts'
import { contentOf, openOutlet, refuseOpenFile, writeSecret } from './output.ts'
import { TRANSIT_VERBS, type TransitVerb } from './words.ts'

export async function wrap(options: VaultOptions & InputOptions & { readonly ttl: string }): Promise<void> {
  refuseOpenFile()
  const value = await readValue('what is wrapped', options)
  await withVault(options, 'make', async (vault) => {
    await writeSecret(`${await vault.wrap(value, { ttl: options.ttl as Duration })}\n`, undefined)
  })
}

export async function unwrap(options: VaultOptions & { readonly file?: string; readonly out?: string }): Promise<void> {
  const [token] = await readLines('Token', options.file)
  if (token === undefined) throw usage('the token comes from stdin, or from --file')
  // Before the token is spent: there is no second try.
  const outlet = openOutlet(options.out)
  try {
    await withVault(options, 'write', async (vault) => {
      const content = contentOf(await vault.unwrap<SecretValue>(token))
      await outlet.write(typeof content === 'string' && options.out === undefined ? `${content}\n` : content)
    })
  } finally {
    outlet.drop()
  }
}

export interface TransitOptions extends VaultOptions {
  readonly file?: string
  readonly context?: string
  readonly signature?: string
  readonly minDecrypt?: number
  readonly out?: string
}

type TransitCommand = (name: string, options: TransitOptions) => Promise<void>

/** `transit VERB NAME`: data from `--file` or stdin, what is made to stdout. */
const TRANSIT: Readonly<Record<TransitVerb, TransitCommand>> = {
  rotate: (name, options) =>
    withVault(options, 'make', async (vault) => {
      const { minDecrypt } = options
      const version = await vault.transit(name).rotate(minDecrypt === undefined ? {} : { minDecrypt })
      await print(options.json ? toJson({ name, version }) : `transit/${name}  v${version}`)
    }),
  async encrypt(name, options) {
    const data = await readInput(options.file)
    await withVault(options, 'read', async (vault) =>
      writeSecret(`${await vault.transit(name).encrypt(new Uint8Array(data), contextOf(options))}\n`, options.out),
    )
  },
  async decrypt(name, options) {
    const token = (await readInput(options.file)).toString('latin1').trim()
    await withVault(options, 'read', async (vault) =>
      writeSecret(await vault.transit(name).decrypt(token, contextOf(options)), options.out),
    )
  },
  async rewrap(name, options) {
    const token = (await readInput(options.file)).toString('latin1').trim()
    await withVault(options, 'read', async (vault) =>
      writeSecret(`${await vault.transit(name).rewrap(token, contextOf(options))}\n`, options.out),
    )
  },
  async sign(name, options) {
    const data = await readInput(options.file)
    await withVault(options, 'read', async (vault) => print(await vault.transit(name).sign(new Uint8Array(data))))
  },
  /** A signature is no secret. Exit code 1 if it does not hold. */
  async verify(name, options) {
    if (options.signature === undefined) throw usage('give the file of the signature with --signature')
    const signature = (await readInput(options.signature)).toString('latin1').trim()
    const data = await readInput(options.file)
    const holds = await withVault(options, 'read', (vault) =>
      vault.transit(name).verify(new Uint8Array(data), signature),
    )
    await print(options.json ? toJson({ holds }) : holds ? 'the signature holds' : 'the signature does not hold')
    if (!holds) process.exitCode = 1
  },
}

function contextOf({ context }: TransitOptions): { readonly context?: string } {
  return context === undefined ? {} : { context }
}

export async function transit(verb: string, name: string, options: TransitOptions): Promise<void> {
  const known = TRANSIT_VERBS.find((one) => one === verb)
  if (!known) throw usage(`transit does ${TRANSIT_VERBS.join(', ')}`)
  if (name === '') throw new AteError('BAD_PATH', { path: name }, { hint: 'give the name of a transit key' })
  await TRANSIT[known](name, options)
}
