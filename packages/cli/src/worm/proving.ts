/** `prove`, `verify`, `checkpoint`, `witness`. */
import { spawn } from 'node:child_process'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import process from 'node:process'
import { AteError, type Witnesses } from '@ate/core'
import { verifyProof } from '@ate/worm'
import { assertNew, writeNew } from '../new-file.ts'
import { print, printable, timeText, toJson } from '../output.ts'
import { refOf, usage, type WormOptions, warnOfNoWitnesses, withWorm } from './open.ts'

export interface WitnessOptions extends WormOptions {
  readonly witness?: readonly string[]
  readonly quorum?: number
}

/** Larger than any proof: what is not one is not read into memory. */
const FILE_BYTES_MAX: number = 16 * 1024 * 1024
/** Characters of what a program that cosigns may print. */
const COSIGN_CHARACTERS_MAX = 65_536

function witnessesOf({ witness, quorum }: WitnessOptions): { readonly witnesses?: Witnesses } {
  if (witness === undefined) {
    // Without keys nobody would be asked for, whatever the number.
    if (quorum !== undefined) throw usage('--quorum goes with --witness KEY')
    return {}
  }
  return { witnesses: { keys: witness, quorum: quorum ?? witness.length - Math.floor((witness.length - 1) / 3) } }
}

export async function proveCommand(name: string, options: WitnessOptions & { readonly out?: string }): Promise<void> {
  const asked = witnessesOf(options)
  assertNew(options.out)
  await withWorm(options, 'read', async (archive) => {
    const proof = await archive.prove(refOf(name, options), asked)
    if (options.out === undefined) await print(proof.trimEnd())
    else await writeNew(options.out, proof)
  })
}

export interface VerifyCommandOptions extends WitnessOptions {
  readonly origin: string
  readonly log: string
  readonly sha256?: boolean
}

export async function verifyCommand(file: string, body: string, options: VerifyCommandOptions): Promise<void> {
  const { origin, log } = options
  const asked = witnessesOf(options)
  const what = options.sha256 ? { sha256: body.toLowerCase() } : bodyOf(body)
  // A line end that an editor or a terminal took away belongs to the checkpoint.
  const proof = `${textOf(file).trimEnd()}\n`
  const verified = await verifyProof(proof, what, { origin, log, ...asked })
  if (options.json) {
    await print(toJson(verified, 2))
    return
  }
  const { name, version, digest, index, size, mode, retainUntil, by, postQuantum, notAfter, witnesses } = verified
  const lines = [
    `ok: record ${index} of ${size} locked this body`,
    `name       ${printable(name)}`,
    `version    ${version}`,
    `SHA-256    ${digest}`,
    `kept       ${retainUntil === undefined ? 'written once' : `${mode} until ${timeText(retainUntil.getTime())}`}, as it was put`,
    `author     ${by}, post-quantum signature: ${postQuantum}`,
    notAfter === undefined
      ? 'witnesses  none were asked for'
      : `witnesses  ${witnesses} have cosigned; it was there by ${timeText(notAfter.getTime())}`,
  ]
  await print(lines.join('\n'))
}

function textOf(file: string): string {
  try {
    if (statSync(file).size <= FILE_BYTES_MAX) return readFileSync(file, 'utf8')
  } catch (cause) {
    throw unreadable(file, cause)
  }
  throw new AteError('BAD_PROOF', { file, what: 'the file is too large to be one' })
}

async function* bodyOf(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of createReadStream(file)) yield piece as Uint8Array
  } catch (cause) {
    throw unreadable(file, cause)
  }
}

function unreadable(file: string, cause: unknown): AteError {
  const { code: reason } = cause as NodeJS.ErrnoException
  return new AteError('IO_ERROR', { file, reason }, { cause, hint: 'the file cannot be read' })
}

export async function checkpointCommand(options: WitnessOptions & { readonly cosign?: string }): Promise<void> {
  const { cosign } = options
  const asked = witnessesOf(options)
  await withWorm(options, 'write', async (archive) => {
    const { seq, note } = await archive.checkpoint({
      ...(cosign === undefined ? {} : { cosign: (text: string) => linesOf(cosign, text) }),
      ...asked,
    })
    await print(options.json ? toJson({ seq, note }, 2) : note.trimEnd())
  })
}

/** What a program prints that gets the note: a line each of witnesses, as C2SP has them. */
async function linesOf(command: string, note: string): Promise<string[]> {
  const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'pipe', 'inherit'], timeout: 10_000 })
  // One that does not read has ended already, and its exit code says how.
  child.stdin.on('error', () => undefined)
  child.stdin.end(note)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
    if (text.length > COSIGN_CHARACTERS_MAX) child.kill('SIGKILL')
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  if (code !== 0)
    throw new AteError('NOT_WITNESSED', { command, code }, { hint: 'the program that asks witnesses has failed' })
  return text.split('\n').filter((line) => line.startsWith('— '))
}

export async function witnessCommand(
  keys: readonly string[],
  options: WormOptions & { readonly quorum?: number },
): Promise<void> {
  if (keys.length === 0 && options.quorum !== undefined) throw usage('--quorum goes with the keys of witnesses')
  await withWorm(options, keys.length === 0 ? 'read' : 'make', async (archive) => {
    const { quorum } = options
    const named =
      keys.length === 0 ? archive : await archive.nameWitnesses({ keys, ...(quorum === undefined ? {} : { quorum }) })
    const info = await named.info()
    if (options.json) {
      await print(toJson({ ...info, trust: named.trust() }, 2))
      return
    }
    const { origin, log } = named.trust()
    await print(`origin     ${origin}\nlog        ${log}`)
    if (info.witnesses) {
      const { names, quorum: wanted, tolerates, provenAt } = info.witnesses
      await print(
        `witnesses  ${names.map(printable).join(', ')}: ${wanted} of ${names.length}, of which ${tolerates} may lie`,
      )
      await print(
        `time       ${provenAt === undefined ? 'not signed yet' : `signed up to ${timeText(provenAt.getTime())}`}`,
      )
    }
    await warnOfNoWitnesses(named)
    if (info.warnings.includes('WEAK_QUORUM'))
      process.stderr.write('One witness that lies is enough to show two histories: name four, and ask for three.\n')
  })
}
