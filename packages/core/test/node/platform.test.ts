import { expect, it } from 'vitest'
import { platform } from '../../src/node/platform.ts'

it.each(['file:~', 'file:~/garage'])('expands no ~, and makes no folder of that name: %s', (place) => {
  expect(() => platform.pathOf(place)).toThrow(/^BAD_URL: ~ is not expanded/)
})

it('takes a folder whose name begins with it', () => {
  expect(platform.pathOf('file:./~/garage')).toBe(`${process.cwd()}/~/garage`)
  expect(platform.pathOf('file:~garage')).toBe(`${process.cwd()}/~garage`)
})
