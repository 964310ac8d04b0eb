/** A `ws` out of which a bundler has taken an optional module: it is told of before anything is sent with it. */
import { expect, it, vi } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { dial } from '../../src/node/dial.ts'
import { listen } from '../../src/node/listen.ts'

vi.mock('ws', async (importOriginal) => ({
  ...(await importOriginal<typeof import('ws')>()),
  Sender: {
    frame() {
      throw new TypeError('b.mask is not a function')
    },
  },
}))

async function refusal(run: Promise<unknown>): Promise<readonly [string, string]> {
  const error = await run.catch((thrown: unknown) => thrown)
  return isAteError(error) ? [error.code, error.message] : [String(error), '']
}

it.each([
  ['BAD_URL', () => dial('ws://127.0.0.1:9/db')],
  ['CANNOT_LISTEN', () => listen('ws://127.0.0.1:0/db', { accept: () => undefined })],
] as const)('%s', async (code, run) => {
  expect(await refusal(run())).toEqual([code, expect.stringContaining("serverExternalPackages: ['ws']")])
})
