// A buyer gets a proof that a deed stands in the registry, and checks it without the registry; a changed proof is refused.
import { readFileSync, writeFileSync } from 'node:fs'
import { defineType, openChain, proofText, verifyProof } from '@ate/core'

const Deed = defineType<{ house: number; owner: string }>('deed')

const registry = await openChain('file:./registry')
const deed = await registry.transact((tx) => tx.create(Deed, { house: 7, owner: 'ann' }))
await registry.checkpoint()
writeFileSync('./deed.json', proofText(await registry.prove({ entity: deed }, { ciphertext: 'include' })))
const { id } = registry
await registry.close()

// Elsewhere: the file, and the id of the chain, which the buyer has from somebody whom he trusts.
const text = readFileSync('./deed.json', 'utf8')
const proven = verifyProof(text, { chain: id })
if (proven.kind === 'record') {
  const { record, commit, event } = proven
  console.log('record', record.seq, event?.op, event?.type, 'signed by its author:', commit?.author.length === 52)
  console.log('the sealed value is there:', event?.value?.ciphertext?.length === event?.value?.bytes)
}
try {
  verifyProof(text.replace('"runIndex": 0', '"runIndex": 1'), { chain: id })
} catch (error) {
  console.log((error as { code: string }).code)
}

// Output:
// record 1 create deed signed by its author: true
// the sealed value is there: true
// BAD_PROOF
