/** Who may connect and create, and how much: rules, quotas, rates, and tables that strangers cannot fill. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Fingerprint } from '../../src/base/ids.ts'
import { nobleProvider as crypto } from '../../src/crypto/noble.ts'
import {
  Admission,
  type AdmissionLimits,
  type AdmitRequest,
  addressKey,
  admitBy,
  type ConnectionPass,
  isRefused,
  type Refused,
} from '../../src/mesh/admission.ts'
import { CountedTable } from '../../src/mesh/counted-table.ts'
import { fullBucket, takeAll, takeOne } from '../../src/mesh/token-bucket.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'

const FAR = { peer: '192.0.2.1', isLoopback: false }
const OWN = { peer: '127.0.0.1', isLoopback: true }
const alice = newIdentity({ crypto, random: seededRandom(1) })
const bob = newIdentity({ crypto, random: seededRandom(2) })

function passOf(answer: ConnectionPass | Refused): ConnectionPass {
  if (isRefused(answer)) throw new Error(`refused: ${answer.text}`)
  return answer
}

function whyOf(answer: object | undefined): string | undefined {
  return isRefused(answer) ? answer.refused : undefined
}

function admission(limits: Partial<AdmissionLimits>, entriesMax?: number): Admission {
  return new Admission(limits, 0, entriesMax)
}

describe('a token bucket', () => {
  it('never lets through more than its burst and its rate, in any pattern of asking', () => {
    const steps = fc.array(fc.tuple(fc.nat(500), fc.nat(20)), { maxLength: 200 })
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 30 }),
        (pattern, perSecond, burst) => {
          const rate = { perSecond, burst }
          const bucket = fullBucket(rate, 0)
          let now = 0
          let taken = 0
          for (const [passes, asks] of pattern) {
            now += passes
            for (let i = 0; i < asks; i++) {
              const wait = takeOne(bucket, rate, now)
              if (wait === undefined) taken++
              else if (takeOne({ ...bucket }, rate, now + wait) !== undefined) return false
            }
            if (taken > burst + (now * perSecond) / 1000 + 1e-6) return false
          }
          return true
        },
      ),
    )
  })

  it('gives credit, and says how long it takes to pay back; a clock that goes back gives nothing', () => {
    const rate = { perSecond: 100, burst: 50 }
    const bucket = fullBucket(rate, 1000)
    expect(takeAll(bucket, rate, 50, 1000)).toBe(0)
    expect(takeAll(bucket, rate, 100, 1000)).toBe(1000)
    expect(takeAll(bucket, rate, 0, 1500)).toBe(500)
    expect(takeAll(bucket, rate, 0, 0)).toBe(500)
    expect(takeAll(bucket, rate, 0, 2000)).toBe(0)
  })
})

describe('a table of what strangers choose', () => {
  it('stays as small as it may, forgets the one used longest ago, and never one that is held', () => {
    const table = new CountedTable(3, () => ({ count: 0 }))
    table.hold('held').count = 7
    for (const key of ['a', 'b', 'a', 'c']) table.get(key).count++
    expect([table.size, table.peek('a')?.count, table.peek('b')]).toEqual([3, 2, undefined])
    for (let i = 0; i < 100; i++) table.get(`flood ${i}`)
    expect([table.size, table.peek('held')?.count, table.holds('held')]).toEqual([3, 7, 1])
    table.release('held')
    table.release('held')
    table.release('nobody')
    for (let i = 0; i < 3; i++) table.get(`flood ${i}`)
    expect(table.peek('held')).toBe(undefined)
  })

  it('that is held as a whole takes one more, and shrinks back', () => {
    const table = new CountedTable(2, () => ({}))
    for (const key of ['a', 'b', 'c']) table.hold(key)
    expect(table.size).toBe(3)
  })
})

describe('rules', () => {
  const request = (part: Partial<AdmitRequest>): AdmitRequest => ({
    kind: 'create',
    identity: undefined,
    ...FAR,
    ...part,
  })

  it('without any, everybody connects and programs on this machine create', async () => {
    const admits = admitBy(undefined, crypto)
    expect(await admits(request({ kind: 'connect' }))).toBe(true)
    expect(await admits(request({ identity: alice.fingerprint }))).toBe(false)
    expect(await admits(request({ ...OWN }))).toBe(true)
  })

  it('with a list, those alone, by public id or fingerprint, also on this machine', async () => {
    const admits = admitBy({ connect: [alice.publicId], create: [bob.fingerprint] }, crypto)
    expect(await admits(request({ kind: 'connect', identity: alice.fingerprint }))).toBe(true)
    expect(await admits(request({ kind: 'connect', identity: bob.fingerprint, ...OWN }))).toBe(false)
    expect(await admits(request({ identity: bob.fingerprint }))).toBe(true)
    expect(await admits(request({ ...OWN }))).toBe(false)
    expect(await admitBy({ create: [] }, crypto)(request({ ...OWN, identity: bob.fingerprint }))).toBe(false)
  })

  it('that are a function decide alone; lists that name nobody are refused', async () => {
    expect(await admitBy(({ chain }) => chain === 'a' || 'only a', crypto)(request({ chain: 'b' }))).toBe('only a')
    for (const create of [['not an id'], [alice.publicId.slice(0, -1)], 'everyone', 7]) {
      expect(() => admitBy({ create: create as 'anyone' }, crypto)).toThrow(/BAD_/)
    }
  })
})

describe('connections', () => {
  it('are counted for all, by address and by identity, and given back', () => {
    const door = admission({ connections: 4, connectionsPerAddress: 2, connectionsPerIdentity: 1, pending: 100 })
    const [first, second] = [passOf(door.connect(FAR, 0)), passOf(door.connect(FAR, 0))]
    expect([whyOf(door.connect(FAR, 0)), door.hasRoom(FAR.peer), door.hasRoom('192.0.2.2')]).toEqual([
      'connections',
      false,
      true,
    ])
    expect(first.authenticated(alice.fingerprint)).toBe(undefined)
    expect(whyOf(second.authenticated(alice.fingerprint))).toBe('connections')
    second.end()
    second.end()
    const again = passOf(door.connect(FAR, 0))
    expect(again.authenticated(bob.fingerprint)).toBe(undefined)
    passOf(door.connect({ ...FAR, peer: '192.0.2.2' }, 0))
    passOf(door.connect({ ...FAR, peer: '192.0.2.3' }, 0))
    expect([door.connections, door.pending, whyOf(door.connect(OWN, 0)), door.hasRoom('127.0.0.1')]).toEqual([
      4,
      2,
      'connections',
      false,
    ])
    first.end()
    expect(passOf(door.connect({ ...FAR, peer: '192.0.2.9' }, 0)).authenticated(alice.fingerprint)).toBe(undefined)
  })

  it('that have not said who they are, are few, and demand cookies early', () => {
    const door = admission({ pending: 5, pendingPerAddress: 2, cookiesFromPending: 2 })
    const own = [passOf(door.connect(FAR, 0)), passOf(door.connect(FAR, 0))]
    expect([own[0]!.needsCookie, whyOf(door.connect(FAR, 0))]).toEqual([false, 'handshakes'])
    const others = [1, 2, 3].map((i) => passOf(door.connect({ ...FAR, peer: `192.0.2.1${i}` }, 0)))
    expect([own[0]!.needsCookie, whyOf(door.connect(OWN, 0))]).toEqual([true, 'handshakes'])
    for (const pass of [...own, ...others]) pass.authenticated(undefined)
    expect([door.pending, own[0]!.needsCookie]).toEqual([0, false])
    passOf(door.connect(FAR, 0)).end()
    for (const pass of [...own, ...others]) pass.end()
    expect([door.pending, door.connections]).toEqual([0, 0])
  })

  it('of this machine are not counted by their address, those of one network of IPv6 are one', () => {
    const door = admission({ connectionsPerAddress: 1 })
    for (let i = 0; i < 10; i++) passOf(door.connect(OWN, 0))
    passOf(door.connect({ peer: '2001:db8:1:2::1', isLoopback: false }, 0))
    expect(whyOf(door.connect({ peer: '2001:db8:1:2:ffff::9', isLoopback: false }, 0))).toBe('connections')
    passOf(door.connect({ peer: '2001:db8:1:3::1', isLoopback: false }, 0))
    // What comes through a proxy on this machine has its address, and is counted.
    passOf(door.connect({ ...OWN, isLoopback: false }, 0))
    expect(whyOf(door.connect({ ...OWN, isLoopback: false }, 0))).toBe('connections')
  })

  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['', ''],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['2001:DB8:0001:0002:3:4:5:6', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
  ])('an address %j counts as %j', (peer, key) => {
    expect(addressKey(peer)).toBe(key)
  })
})

describe('rates', () => {
  it('of handshakes: one address that asks too often takes nothing from the others', () => {
    const door = admission({
      handshakes: { perSecond: 10, burst: 5 },
      handshakesPerAddress: { perSecond: 1, burst: 2 },
    })
    const greedy = passOf(door.connect(FAR, 0))
    const answers = Array.from({ length: 10 }, () => whyOf(greedy.handshake(0)))
    expect(answers).toEqual([undefined, undefined, ...Array(8).fill('handshakes')])
    expect(greedy.handshake(0)?.retryMs).toBe(1000)
    const others = [1, 2, 3, 4].map((i) =>
      whyOf(passOf(door.connect({ ...FAR, peer: `192.0.2.1${i}` }, 0)).handshake(0)),
    )
    expect(others).toEqual([undefined, undefined, undefined, 'handshakes'])
    expect(greedy.handshake(1000)).toBe(undefined)
  })

  it('of bytes and commits: of all connections of an identity together, also those yet to come', () => {
    const door = admission({
      bytesPerIdentity: { perSecond: 1000, burst: 1000 },
      commitsPerIdentity: { perSecond: 10, burst: 10 },
    })
    const [one, two, other] = [0, 1, 2].map(() => passOf(door.connect(OWN, 0)))
    one!.authenticated(alice.fingerprint)
    two!.authenticated(alice.fingerprint)
    other!.authenticated(bob.fingerprint)
    expect([one!.received(1000, 0), two!.received(500, 0), other!.received(500, 0)]).toEqual([0, 500, 0])
    expect([one!.commits(10, 0), two!.commits(10, 0), other!.commits(1, 0)]).toEqual([0, 1000, 0])
    one!.end()
    two!.end()
    const third = passOf(door.connect(OWN, 0))
    third.authenticated(alice.fingerprint)
    expect(third.received(500, 0)).toBe(1000)
  })

  it('of chains: made, owned, and stored', () => {
    const door = admission({
      createPerIdentity: { perSecond: 1, burst: 1 },
      chainsPerIdentity: 3,
      storedBytesPerIdentity: 100,
    })
    const pass = passOf(door.connect(OWN, 0))
    pass.authenticated(alice.fingerprint)
    expect(pass.create({ chains: 2, storedBytes: 99 }, 0)).toBe(undefined)
    expect(pass.create({ chains: 2, storedBytes: 99 }, 0)).toMatchObject({ refused: 'creates', retryMs: 1000 })
    expect(pass.create({ chains: 3, storedBytes: 0 }, 5000)).toEqual({ refused: 'chains', text: expect.any(String) })
    expect(whyOf(pass.create({ chains: 0, storedBytes: 100 }, 5000))).toBe('stored-bytes')
  })
})

describe('a flood', () => {
  it('of addresses and identities grows no table past its bound, and leaves the counts right', () => {
    const door = admission({ connections: 50, pending: 50 }, 100)
    const random = seededRandom(11)
    const open: ConnectionPass[] = []
    for (let i = 0; i < 20_000; i++) {
      const answer = door.connect(
        { peer: `10.${random.below(256)}.${random.below(256)}.${random.below(256)}`, isLoopback: false },
        i,
      )
      if (!isRefused(answer)) {
        open.push(answer)
        answer.handshake(i)
        if (random.oneIn(2)) answer.authenticated(`someone ${i}` as Fingerprint)
        answer.received(10, i)
      }
      if (open.length > 40) open.splice(random.below(open.length), 1)[0]!.end()
      expect(door.entries).toBeLessThanOrEqual(200)
    }
    for (const pass of open) pass.end()
    expect([door.connections, door.pending]).toEqual([0, 0])
  })
})
