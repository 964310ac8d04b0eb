/**
 * `ate serve` as a process with a server that only waits, so that signals are tested as they come. The environment says
 * how long it takes to close.
 */
import process from 'node:process'
import type { Served } from '@ate/core/server'
import { runServer } from '../src/serve.ts'

const url = 'ws://127.0.0.1:1/db'
const holding = setInterval(() => undefined, 1000)
await runServer(
  { listen: url, data: 'served' },
  {
    serve: async (): Promise<Served> => ({
      url,
      urls: [url],
      publicKey: 'ate1...',
      fingerprint: 'f'.repeat(52),
      closed: new Promise(() => undefined),
      async [Symbol.asyncDispose]() {},
      async close() {
        if (process.env['CLOSES'] === 'never') await new Promise(() => undefined)
        process.stdout.write('closed\n')
      },
    }),
    signals: process,
    print: async (line) => void process.stdout.write(`${line}\n`),
    note: (line) => void process.stdout.write(`${line}\n`),
    now: () => Date.now(),
    exit: (code) => process.exit(code),
  },
)
clearInterval(holding)
