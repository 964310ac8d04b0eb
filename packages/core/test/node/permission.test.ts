/**
 * Under Node's permission model, which lets nobody sync a file: folders are read, and what cannot be says why.
 * @newest-node-only: runs the TypeScript sources
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, expect, it } from 'vitest'

const SOURCE = new URL('../../src/index.ts', import.meta.url).href
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ate-permission-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** What a process says that opens `place`. */
async function opened(place: string, flags: readonly string[], options = '{}', home = 'home'): Promise<string> {
  const program = `
    const { openChain } = await import('${SOURCE}')
    await openChain('${place}', ${options}).then(async (chain) => {
      console.log('ok')
      await chain.close()
    }, (error) => console.log(error.message))`
  const args = [...flags, '-C', '@ate/source', '--input-type=module', '-e', program]
  const env = { ...process.env, ATE_HOME: join(folder, home), NODE_OPTIONS: '' }
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  child.stdout.on('data', (data) => {
    said += String(data)
  })
  await once(child, 'close')
  return said
}

it('a folder is read, and not written', async () => {
  const all = ['--permission', '--allow-fs-read=*', '--allow-fs-write=*']
  const place = `file:${join(folder, 'chain')}`
  expect(await opened(place, [])).toBe('ok\n')
  expect(await opened(place, all, '{ readOnly: true }')).toBe('ok\n')
  // The lock of a folder is a socket.
  for (const flags of [all, [...all, '--allow-net']])
    expect(await opened(place, flags)).toMatch(/^READ_ONLY: .*permission model \(--permission\) refuses this/)
  // And so is the one of an identity that is made.
  expect(await opened('memory:', all, '{}', 'new')).toMatch(/^STATE_UNWRITABLE: .*permission model/)
}, 60_000)
