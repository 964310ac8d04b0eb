/** What every store of this machine's state must do: the contract of session/state-store.ts, for any runner. */
import { fromUtf8, utf8 } from '../../src/base/bytes.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import { codeOf, type SuiteRunner } from '../../src/testing/log-suite.ts'

/** `open` gives an empty store each time. */
export function stateSuite({ it, expect }: SuiteRunner, open: () => StateStore): void {
  it('keeps, replaces, removes and lists', async () => {
    const state = open()
    expect(await state.get('identity')).toBe(undefined)
    expect(await state.list('heads/')).toEqual([])
    await state.put('identity', utf8('one'))
    await state.put('identity', utf8('two'))
    await state.put('heads/b/2', utf8('b2'))
    await state.put('heads/a/1', utf8('a1'))
    await state.put('heads/b/1', utf8(''))
    expect(fromUtf8((await state.get('identity'))!)).toBe('two')
    expect(await state.get('heads/b/1')).toEqual(new Uint8Array())
    expect(await state.list('heads/')).toEqual(['heads/a/1', 'heads/b/1', 'heads/b/2'])
    expect(await state.list('heads/b/')).toEqual(['heads/b/1', 'heads/b/2'])
    await state.remove('heads/b/1')
    await state.remove('heads/b/1')
    await state.remove('heads/none/1')
    expect(await state.list('heads/b/')).toEqual(['heads/b/2'])
  })

  it('shares no memory with its callers', async () => {
    const state = open()
    for (const name of ['identity', 'known-chains']) {
      const given = Uint8Array.of(1, 2, 3)
      await state.put(name, given)
      given.fill(9)
      ;(await state.get(name))!.fill(8)
      expect(await state.get(name)).toEqual(Uint8Array.of(1, 2, 3))
    }
  })

  it('takes no name that leads elsewhere', async () => {
    const state = open()
    for (const name of [
      '',
      '/etc/x',
      '../x',
      'a/../b',
      'a//b',
      'a/',
      '.hidden',
      'a/.b',
      'A',
      'a\\b',
      'a b',
      'a\0',
      'a/b/c/d/e',
      'x'.repeat(201),
    ]) {
      expect(await codeOf(() => state.get(name))).toBe('INTERNAL')
      expect(await codeOf(() => state.put(name, utf8('x')))).toBe('INTERNAL')
      expect(await codeOf(() => state.remove(name))).toBe('INTERNAL')
      expect(await codeOf(() => state.lock(name))).toBe('INTERNAL')
    }
    for (const prefix of ['', '/', 'heads', '../', 'heads//'])
      expect(await codeOf(() => state.list(prefix))).toBe('INTERNAL')
  })

  it('locks a name for one holder, who may let go twice', async () => {
    const state = open()
    const first = (await state.lock('known-chains'))!
    expect(first === undefined).toBe(false)
    expect(await state.lock('known-chains')).toBe(undefined)
    const other = (await state.lock('identity'))!
    expect(other === undefined).toBe(false)
    const waiting = state.lock('known-chains', { waitMs: 10_000 })
    await first.release()
    const second = (await waiting)!
    expect(second === undefined).toBe(false)
    await first.release()
    expect(await state.lock('known-chains')).toBe(undefined)
    await second.release()
    await other.release()
    const third = await state.lock('known-chains')
    expect(third === undefined).toBe(false)
    await third!.release()
  })

  it('hands a lock to one after the other of many that wait', async () => {
    const state = open()
    let inside = 0
    let most = 0
    const work = Array.from({ length: 8 }, async () => {
      const lock = (await state.lock('known-chains', { waitMs: 20_000 }))!
      most = Math.max(most, ++inside)
      await new Promise((resume) => setTimeout(resume, 2))
      inside--
      await lock.release()
    })
    await Promise.all(work)
    expect(most).toBe(1)
  })
}
