/** A `ws` out of which a bundler has taken an optional module: it is told of before anything is sent with it. */
import { afterEach, expect, it, vi } from 'vitest'
import * as whole from 'ws'
import { isAteError } from '../../src/base/errors.ts'
import { dial } from '../../src/node/dial.ts'
import { listen } from '../../src/node/listen.ts'

afterEach(() => vi.restoreAllMocks())

async function refusal(run: Promise<unknown>): Promise<readonly [string, string]> {
  const error = await run.catch((thrown: unknown) => thrown)
  return isAteError(error) ? [error.code, error.message] : [String(error), '']
}

it.each([
  ['BAD_URL', () => dial('ws://127.0.0.1:9/db')],
  ['CANNOT_LISTEN', () => listen('ws://127.0.0.1:0/db', { accept: () => undefined })],
] as const)('%s', async (code, run) => {
  // Not among the types of the package.
  const { Sender } = whole as unknown as { readonly Sender: { frame(): unknown } }
  vi.spyOn(Sender, 'frame').mockImplementation(() => {
    throw new TypeError('b.mask is not a function')
  })
  expect(await refusal(run())).toEqual([code, expect.stringContaining("serverExternalPackages: ['ws']")])
})
