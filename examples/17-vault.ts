// Secrets: versions, a role that reads some of them, a removal that says what to change, destruction, and a key that signs.
import { createIdentity, isAteError, openChain, vault } from '@ate/vault'

const me = await createIdentity()
const ci = await createIdentity()
const codeOf = (error: unknown) => (isAteError(error) ? error.code : String(error))

const chain = await openChain('file:./acme', { as: me })
const secrets = vault(chain)
await secrets.role('deploy').allow('prod/**', ['list', 'read'])
await secrets.role('deploy').add(ci.publicId)
const db = secrets.secret<{ url: string }>('prod/db')
await db.put({ url: 'postgres://one' }, { cas: 0 })
await db.put({ url: 'postgres://two' }, { cas: 0 }).catch((error) => console.log('somebody was faster:', codeOf(error)))
console.log((await db.get()).value.url, `and when it is printed: ${await db.get()}`)
await secrets.secret('dev/db').put('only for me')
await chain.close()

// The build server opens the chain with its own identity: it reads what its role may, and writes nothing.
const asCi = await openChain('file:./acme', { as: ci, id: chain.id })
const theirs = vault(asCi)
for await (const { path, latest } of theirs.list()) console.log('ci sees', path, 'version', latest)
console.log('ci as environment:', await theirs.env('prod'))
await theirs
  .secret('prod/db')
  .put('x')
  .catch((error) => console.log('ci writes:', codeOf(error)))
await asCi.close()

// It leaves: what it could read is to be changed where it came from; what is written from now on it does not open.
const again = await openChain('file:./acme', { as: me })
const mine = vault(again)
const { couldRead } = await mine.role('deploy').remove(ci.publicId)
console.log(
  'change at the source:',
  couldRead.map(({ path }) => path),
)
await mine.secret<{ url: string }>('prod/db').patch(() => ({ url: 'postgres://three' }))

// Destroyed is gone: half of the key stood beside the log, and was overwritten.
const { versions } = await mine.secret('prod/db').destroy([1])
console.log('destroyed', versions)
await mine
  .secret('prod/db')
  .get({ version: 1 })
  .catch((error) => console.log('version 1:', codeOf(error)))

const release = mine.transit('release')
await release.rotate()
const signature = await release.sign(new TextEncoder().encode('v1.2.3'))
console.log('signed by Ed25519 and ML-DSA-65:', await release.verify(new TextEncoder().encode('v1.2.3'), signature))

const token = await mine.wrap({ otp: '491-220' }, { ttl: '10m' })
console.log(await mine.unwrap(token))
await mine.unwrap(token).catch((error) => console.log('a second time:', codeOf(error)))
await again.close()

// Output:
// somebody was faster: CAS_MISMATCH
// postgres://one and when it is printed: [redacted]
// ci sees prod/db version 1
// ci as environment: { DB_URL: 'postgres://one' }
// ci writes: NOT_AUTHORIZED
// change at the source: [ 'prod/db' ]
// destroyed [ 1 ]
// version 1: VERSION_DESTROYED
// signed by Ed25519 and ML-DSA-65: true
// { otp: '491-220' }
// a second time: TOKEN_SPENT
