/**
 * Every context string: each signature, derivation and tagged hash has one of its own, and none is used twice (a test
 * holds it). A context is the first thing in what is hashed or signed, closed by a zero byte.
 */
export const CONTEXTS = {
  genesis: 'ate/1/genesis',
  record: 'ate/1/record',
  payload: 'ate/1/payload',
  commit: 'ate/1/commit',
  commitPayload: 'ate/1/commit-payload',
  certificate: 'ate/1/certificate',
  certificateId: 'ate/1/certificate-id',
  attestation: 'ate/1/attestation',
  recover: 'ate/1/recover',
  identity: 'ate/1/identity',
  entity: 'ate/1/entity',
  namedEntity: 'ate/1/named-entity',
  blindKey: 'ate/1/blind-key',
  seal: 'ate/1/seal',
  sealHedge: 'ate/1/seal-hedge',
  sealDigest: 'ate/1/seal-digest',
  sealPublic: 'ate/1/seal-public',
  wrap: 'ate/1/wrap',
  wrapHedge: 'ate/1/wrap-hedge',
  wrapUnder: 'ate/1/wrap-under',
  wrapUnderHedge: 'ate/1/wrap-under-hedge',
  epochCommitment: 'ate/1/epoch-commitment',
  epochPublic: 'ate/1/epoch-public',
  epochLink: 'ate/1/epoch-link',
  roleWrap: 'ate/1/role-wrap',
  nodeWrap: 'ate/1/node-wrap',
  checkpointKey: 'ate/1/checkpoint-key',
  serverCheckpoint: 'ate/1/server-checkpoint',
  person: 'ate/1/person',
  personWrap: 'ate/1/person-wrap',
  personLink: 'ate/1/person-link',
  identityFile: 'ate/1/identity-file',
  snapshot: 'ate/1/snapshot',
  delegation: 'ate/1/delegation',
  acknowledgement: 'ate/1/acknowledgement',
  succession: 'ate/1/succession',
  handshake: 'ate/1/handshake',
  handshakeKeys: 'ate/1/handshake-keys',
  handshakeServer: 'ate/1/handshake-server',
  handshakeCookie: 'ate/1/handshake-cookie',
  wireKeys: 'ate/1/wire-keys',
  wireRekey: 'ate/1/wire-rekey',
  wireExchange: 'ate/1/wire-exchange',
  wireSession: 'ate/1/wire-session',
  wireTicket: 'ate/1/wire-ticket',
  ringPlace: 'ate/1/ring-place',
} as const

export type ContextName = keyof typeof CONTEXTS

const encoded = new Map<ContextName, Uint8Array>()

/** The bytes of a context, its closing zero included. */
export function contextBytes(name: ContextName): Uint8Array {
  let bytes = encoded.get(name)
  if (!bytes) {
    bytes = new TextEncoder().encode(`${CONTEXTS[name]}\0`)
    encoded.set(name, bytes)
  }
  return bytes
}
