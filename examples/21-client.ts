// A typical client: it has an identity, opens a chain at a server, stores a value that only it reads, and finds it again
// when it comes back. The server, which would be elsewhere, is in this program too.
import { createIdentity, defineType, openChain } from '@ate/core'
import { serve } from '@ate/core/server'

const Note = defineType<{ pi: number }>('note')
const server = await serve({ listen: 'ws://127.0.0.1:0/db', data: './served' })
const place = `${server.url}/mychain`
const serverKey = server.fingerprint // who the server is: told by whoever runs it

const me = await createIdentity() // or openIdentity('./me', { create: true }), which keeps it in a file
const chain = await openChain(place, { as: me, create: true, serverKey })
await chain.transact((tx) => tx.put(Note, 'pi', { pi: Math.PI }))
await chain.close()

const again = await openChain(place, { as: me, serverKey })
console.log((await again.named(Note, 'pi'))?.value.pi)

// Who knows the address and the id of the chain, and is not known to it, is turned away.
const stranger = await createIdentity()
await openChain(place, { as: stranger, id: chain.id, serverKey }).catch((error) => console.log(error.code))

await again.close()
await server.close()

// Output:
// 3.141592653589793
// NOT_AUTHORIZED
