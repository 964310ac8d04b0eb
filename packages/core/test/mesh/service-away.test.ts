/** A service whose server is stopped first: closing it is not waited for without end. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { deferred } from '../../src/base/deferred.ts'
import { service } from '../../src/data/service.ts'
import { invoke } from '../../src/data/service-invoke.ts'
import { defineService } from '../../src/data/service-type.ts'
import { openChain } from '../../src/mesh/open-chain.ts'
import { serve } from '../../src/node/serve.ts'
import { machine, someone } from './net-kit.ts'

const Hall = defineService<{ wait: (input: number) => void }>('hall')
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-away-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

it('gives up what it cannot give back', async () => {
  const server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
  const chain = await openChain(
    `${server.url}/c`,
    { as: someone(), serverKey: server.publicKey, create: true },
    machine(),
  )
  const begun = deferred()
  const served = service(
    chain,
    Hall,
    {
      wait: () => {
        begun.resolve()
        return new Promise<void>(() => undefined)
      },
    },
    { grace: '100ms' },
  )
  await served.ready
  const call = invoke(chain, Hall)
    .wait(1)
    .catch(() => undefined)
  await begun.promise
  await server.close()
  const start = performance.now()
  await served.close()
  expect(performance.now() - start).toBeLessThan(9000)
  await chain.close()
  await call
}, 40_000)
