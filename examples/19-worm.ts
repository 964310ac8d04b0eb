// Records that nobody deletes early, beside the secrets of the same chain; and a proof that is checked without either.
import { createIdentity, openChain, vault } from '@ate/vault'
import { RetentionError, verifyProof, worm } from '@ate/worm'

const me = await createIdentity()
const ci = await createIdentity()
const chain = await openChain('file:./acme', { as: me })

const secrets = vault(chain)
await secrets.role('deploy').allow('prod/**', ['list', 'read'])
await secrets.role('deploy').add(ci.publicId)
const db = secrets.secret<{ url: string }>('prod/db')
await db.put({ url: 'postgres://one' }, { cas: 0 })
await db.put({ url: 'postgres://two' }, { cas: 0 }).catch((e) => console.log(e.code))
console.log((await db.get()).value.url, String(await db.get()))
const { couldRead } = await secrets.role('deploy').remove(ci.publicId)
console.log(couldRead.map((s) => s.path))

const archive = worm(chain, { defaults: { mode: 'compliance', retain: '6y' } })
const mail = await archive.put('mail/1.eml', new TextEncoder().encode('Subject: hi'))
await archive.dispose(mail, { reason: 'cleanup' }).catch((e) => console.log(e.code, e instanceof RetentionError))

// A record of a job and the job itself, in one commit or not at all.
const report = await chain.transact((tx) => archive.put('reports/2026.csv', 'a,b\n1,2\n', { tx, retain: '10y' }))
await archive.hold('reports/2026.csv', 'SEC-2026-041', { reason: 'inquiry' })
console.log((await archive.stat('reports/2026.csv')).holds, report?.size)

const proof = await archive.prove(mail)
const trust = archive.trust()
await chain.close()

// Elsewhere, without the chain and its keys: `trust` comes from somebody whom one trusts.
const { name, mode, by } = await verifyProof(proof, 'Subject: hi', trust)
console.log(name, mode, by === me.fingerprint)
await verifyProof(proof, 'Subject: ho', trust).catch((e) => console.log(e.code))

// Output:
// CAS_MISMATCH
// postgres://one [redacted]
// [ 'prod/db' ]
// RETAINED true
// [ 'SEC-2026-041' ] 8n
// mail/1.eml compliance true
// BAD_PROOF
