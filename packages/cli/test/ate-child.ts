/** A process that runs one `ate` after the other: what it is told over its channel, and what that printed. */
import process from 'node:process'
import { program } from '../src/program.ts'
import { runProgram } from '../src/run-program.ts'
import type { Outcome } from './run-ate.ts'

type Write = typeof process.stdout.write

process.on('message', (args: readonly string[]) => {
  void outcomeOf(args).then((outcome) => process.send!(outcome))
})

async function outcomeOf(args: readonly string[]): Promise<Outcome> {
  const out: string[] = []
  const err: string[] = []
  const { stdout, stderr } = process
  const [toStdout, toStderr] = [stdout.write, stderr.write]
  stdout.write = into(out)
  stderr.write = into(err)
  process.argv = [process.execPath, 'ate', ...args]
  process.exitCode = 0
  try {
    await runProgram(program())
    return { code: Number(process.exitCode), stdout: out.join(''), stderr: err.join('') }
  } finally {
    stdout.write = toStdout
    stderr.write = toStderr
    stdout.removeAllListeners('error')
    process.exitCode = 0
  }
}

function into(texts: string[]): Write {
  return ((chunk: string | Uint8Array) => {
    texts.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString())
    return true
  }) as Write
}
