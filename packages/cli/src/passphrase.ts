/**
 * Where passphrases come from: a file, the environment, or a terminal without echo. Never the command line, which other
 * users of the machine can read.
 */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { AteError } from '@ate/core'

export interface PassphraseOptions {
  readonly passphraseFile?: string
}

/** What opens an identity: asked for only if the identity is sealed. Undefined: core looks into the environment. */
export function passphraseFor(file: string, options: PassphraseOptions): (() => Promise<string>) | undefined {
  if (options.passphraseFile !== undefined) return async () => readPassphrase(options.passphraseFile!)
  if (inEnvironment() || !process.stdin.isTTY) return undefined
  return () => askHidden(`Passphrase of ${file}: `)
}

/** What seals a new identity; undefined leaves it open. On a terminal it is asked for twice. */
export async function newPassphrase(options: PassphraseOptions): Promise<string | undefined> {
  if (options.passphraseFile !== undefined) return readPassphrase(options.passphraseFile)
  if (inEnvironment()) return process.env['ATE_PASSPHRASE'] || readPassphrase(process.env['ATE_PASSPHRASE_FILE']!)
  if (!process.stdin.isTTY) return undefined
  const passphrase = await askHidden('Passphrase (empty for none): ')
  if (passphrase === '') return undefined
  if ((await askHidden('Again: ')) !== passphrase) {
    throw new AteError('BAD_ARGUMENT', {}, { hint: 'the two passphrases differ; nothing was written' })
  }
  return passphrase
}

function inEnvironment(): boolean {
  return Boolean(process.env['ATE_PASSPHRASE'] || process.env['ATE_PASSPHRASE_FILE'])
}

function readPassphrase(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code
    throw new AteError('IO_ERROR', { file, reason }, { cause, hint: 'the passphrase file cannot be read' })
  }
  const [line = ''] = text.split(/\r?\n/)
  if (line === '')
    throw new AteError('BAD_ARGUMENT', { file }, { hint: 'the first line of the passphrase file is empty' })
  return line
}

/** Asks on stderr, so that stdout stays clean; what is typed is not shown. */
export async function askHidden(question: string): Promise<string> {
  process.stderr.write(question)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      const stop = (): void => reject(new AteError('BAD_ARGUMENT', {}, { hint: 'no passphrase was given' }))
      lines.once('SIGINT', stop)
      lines.once('close', stop)
    })
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
