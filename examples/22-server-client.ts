// A server and two clients. One writes, the other sees it come, and both change it at once. The server stores it, puts it in
// order, and holds no key: its files do not have the words.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIdentity, defineType, openChain, role } from '@ate/core'
import { serve } from '@ate/core/server'

const Wall = defineType<null>('wall')
const Text = defineType<string>('text')
const server = await serve({ listen: 'ws://127.0.0.1:0/test', data: './served' })
const place = `${server.url}/test-chain`
const serverKey = server.fingerprint
const [alice, bob] = [await createIdentity(), await createIdentity()]

const hers = await openChain(place, { as: alice, create: true, serverKey })
const wall = await hers.transact((tx) => {
  tx.role('friends').add(bob.publicId) // alice made the role: she is in it
  return tx.create(Wall, null, { read: [role('friends')], write: [role('friends')] })
})

const his = await openChain(place, { as: bob, id: hers.id, serverKey })
const coming = his.watch({ parent: wall.id }).next()
const text = await hers.transact((tx) => tx.create(Text, 'my test string', { parent: wall }))
await coming
console.log('bob reads:', (await his.load(Text, text.id)).value)

// Who comes second runs again, on what the first has left.
const add = (chain: typeof hers) => chain.transact((tx) => tx.update(Text, text.id, (now) => `${now}!`))
await Promise.all([add(hers), add(his)])
await hers.refresh()
console.log('alice reads:', (await hers.load(Text, text)).value)

await hers.close()
await his.close()
await server.close()
const files = readdirSync('./served', { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
const stored = Buffer.concat(files.map(({ parentPath, name }) => readFileSync(join(parentPath, name))))
console.log('the server has', stored.length > 1000 && 'bytes;', 'the words:', stored.includes('my test string'))

// Output:
// bob reads: my test string
// alice reads: my test string!!
// the server has bytes; the words: false
