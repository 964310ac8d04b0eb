/** A Reply that is signed beside the thread, and what a client does not verify twice. */
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { compositeVerifier } from '../../src/crypto/composite.ts'
import { contextBytes } from '../../src/crypto/contexts.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { JobQueue } from '../../src/node/job-queue.ts'
import { signLater } from '../../src/session/identity.ts'
import { codeOf, crypto, flipped, NOW, newClient, newServer, testServer } from './support.ts'

const server = testServer(1)
const later = { signLater: (message: Uint8Array) => signLater(server.identity, message, 'handshakeServer') }

describe('a Reply that is signed beside the thread', () => {
  it('comes when it is signed, and is as good as any', async () => {
    const [client, other] = [newClient(), newServer(server, later)]
    const step = other.receive(client.hello())
    expect([step.send, step.done]).toEqual([undefined, undefined])
    const { send, done } = client.receive(await step.later!)
    const end = other.receive(send).done!
    expect(end.wire.open(done!.wire.seal(utf8('there')))).toEqual(utf8('there'))
  })

  it('is signed in place where no thread is to be had', () => {
    const [client, other] = [newClient(), newServer(server, { signLater: () => undefined })]
    expect(client.receive(other.receive(client.hello()).send!).done).toBeDefined()
  })

  it('is none of a handshake that went wrong meanwhile, or was closed', async () => {
    for (const spoil of ['another message', 'closed']) {
      const [client, other] = [newClient(), newServer(server, later)]
      const hello = client.hello()
      const reply = other.receive(hello).later!
      if (spoil === 'closed') other.close()
      else expect(codeOf(() => other.receive(hello))).toBe('HANDSHAKE_FAILED')
      await expect(reply).rejects.toMatchObject({ code: 'HANDSHAKE_FAILED' })
      // Nor does it wake the server up again.
      expect(codeOf(() => other.receive(hello))).toBe('HANDSHAKE_FAILED')
    }
  })

  it('has a signature that verifies', async () => {
    const { signingKey } = server.identity
    const signature = await later.signLater(utf8('a message'))!
    const verifier = compositeVerifier(crypto, signingKey)
    expect(verifier.verify(utf8('a message'), signature, contextBytes('handshakeServer'))).toBe(true)
    expect(verifier.verify(utf8('another'), signature, contextBytes('handshakeServer'))).toBe(false)
  })
})

describe('a queue of jobs', () => {
  it('runs so many at once, the rest in order, and takes no more than its bound', async () => {
    const queue = new JobQueue({ atOnce: 2, waitingMax: 2 })
    const ends: ((value: number) => void)[] = []
    const begun: number[] = []
    const job = (number: number) => () => {
      begun.push(number)
      return new Promise<number>((resolve) => ends.push(resolve))
    }
    const first = queue.add(job(1))
    const second = queue.add(() => Promise.reject(new Error('it failed')))
    const third = queue.add(job(3))
    const fourth = queue.add(job(4))
    expect([begun, queue.add(job(5))]).toEqual([[1], undefined])
    await expect(second).rejects.toThrow('it failed')
    expect(begun).toEqual([1, 3])
    ends[0]!(10)
    expect(await first).toBe(10)
    ends[1]!(30)
    expect(await third).toBe(30)
    ends[2]!(40)
    expect([await fourth, begun]).toEqual([40, [1, 3, 4]])
  })
})

describe('a server that shows the same again', () => {
  it('is verified by the signature of this handshake alone, and its delegation ends all the same', () => {
    const counts = { keys: 0, signatures: 0 }
    const provider: CryptoProvider = {
      ...crypto,
      mlDsa65Verifier(publicKey) {
        counts.keys++
        const verifier = crypto.mlDsa65Verifier(publicKey)
        return {
          verify(message, signature, context) {
            counts.signatures++
            return verifier.verify(message, signature, context)
          },
        }
      },
    }
    const meet = (delegation: Uint8Array, now = NOW) => {
      const client = newClient({ crypto: provider, now: () => now })
      return client.receive(newServer({ ...server, delegation }).receive(client.hello()).send!).done!.server
    }
    const met = meet(server.delegation)
    expect(counts).toEqual({ keys: 1, signatures: 2 })
    expect(meet(server.delegation).delegation).toBe(met.delegation)
    expect(counts).toEqual({ keys: 1, signatures: 3 })
    expect(codeOf(() => meet(server.delegation, met.delegation.until + 10 * 60_000))).toBe('HANDSHAKE_FAILED')
    expect(codeOf(() => meet(flipped(server.delegation, server.delegation.length - 1)))).toBe('HANDSHAKE_FAILED')
    expect(meet(testServer(1, { from: NOW, until: NOW + 1000 }).delegation).delegation.until).toBe(NOW + 1000)
  })
})
