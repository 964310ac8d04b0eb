/** `import`: secrets from a file of another tool, all of them or none. */
import { basename } from 'node:path'
import { AteError } from '@ate/core'
import type { SecretValue } from '@ate/vault'
import { counted, print, printable, toJson } from '../output.ts'
import { parseImport } from './formats.ts'
import { readInput, textOf } from './input.ts'
import { usage, type VaultOptions, withVault } from './open.ts'
import { FORMATS } from './words.ts'

export interface ImportOptions extends VaultOptions {
  readonly format: string
  readonly to?: string
  readonly dryRun?: boolean
  readonly overwrite?: boolean
}

/** One transaction takes this many: a commit is 960 KiB. */
const SECRETS_MAX = 200

export async function importSecrets(file: string, options: ImportOptions): Promise<void> {
  const format = FORMATS.find((one) => one === options.format)
  if (!format) throw usage(`a format is ${FORMATS.join(', ')}`)
  const found = await parseImport(textOf(await readInput(file)), format, basename(file))
  const values = [...found].map(([path, value]) => [below(options.to, path), value] as const)
  if (values.length > SECRETS_MAX) throw new AteError('TX_TOO_LARGE', { secrets: values.length, max: SECRETS_MAX })
  const paths = values.map(([path]) => path)
  if (options.dryRun) {
    await print(options.json ? toJson({ paths }, 2) : paths.map(printable).join('\n'))
    return
  }
  await withVault(options, 'make', (vault, chain) =>
    chain.transact(async (tx) => {
      for (const [path, value] of values)
        await vault.secret<SecretValue>(path).put(value, { tx, ...(options.overwrite ? {} : { cas: 0 }) })
    }),
  )
  await print(options.json ? toJson({ paths }, 2) : `imported ${counted(paths.length, 'secret')}`)
}

function below(to: string | undefined, path: string): string {
  if (path === '' && to === undefined) throw usage('--to says where it goes')
  return [to?.replace(/\/+$/, ''), path].filter((part) => part !== undefined && part !== '').join('/')
}
