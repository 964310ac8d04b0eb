/** Tokens of an authority that `openssl ts` plays; without openssl there is none, and the tests say so. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAteError } from '@ate/core'
import { ContentInfo, SignedData, TimeStampResp } from 'pkijs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { timestampQuery, verifyTimestamp } from '../src/rfc3161.ts'

const DATA = 'c2sp.org/tlog-proof@v1\nwhat a proof may look like\n'
const POLICY = '1.3.6.1.4.1.55555.1'

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'])
    return true
  } catch {
    console.warn('no openssl here: the tests of time stamps are skipped')
    return false
  }
})()

let folder = ''
const at = (name: string): string => join(folder, name)
const read = (name: string): Uint8Array => new Uint8Array(readFileSync(at(name)))
const pem = (name: string): string => readFileSync(at(name), 'utf8')

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
}

/** A certificate `name.pem` of `issuer`, with extensions as a section of openssl's. */
function certify(name: string, issuer: string | undefined, section: string, days = 2): void {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', '-new', ...curve, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  const signer = issuer ? ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`] : ['-key', `${name}.key`]
  const how = ['-extfile', 'config', '-extensions', section, '-days', String(days), '-set_serial', '7']
  openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signer, ...how)
}

/** Another certificate for the key of the authority. */
function certifyAgain(name: string, section: string, days: number): void {
  const how = ['-extfile', 'config', '-extensions', section, '-days', String(days), '-set_serial', '7']
  openssl('x509', '-req', '-in', 'tsa.csr', '-out', `${name}.pem`, '-CA', 'ca.pem', '-CAkey', 'ca.key', ...how)
}

function der(name: string): Uint8Array {
  openssl('x509', '-in', `${name}.pem`, '-outform', 'DER', '-out', `${name}.der`)
  return read(`${name}.der`)
}

/** The authority's answer to `query`, as DER. */
function answer(query: Uint8Array, { signer = 'tsa', config = 'tsa' } = {}): Uint8Array {
  writeFileSync(at('query'), query)
  const how = ['-config', 'config', '-section', config, '-signer', `${signer}.pem`, '-inkey', `${signer}.key`]
  openssl('ts', '-reply', '-queryfile', 'query', '-out', 'reply', '-chain', 'ca.pem', ...how)
  return read('reply')
}

async function problemOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'none'
  } catch (error) {
    if (!isAteError(error)) throw error
    return `${error.code} ${error.facts['what']}`
  }
}

const CONFIG = `
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[tsa-certificate]
basicConstraints = CA:FALSE
extendedKeyUsage = critical, timeStamping
[weak-certificate]
basicConstraints = CA:FALSE
extendedKeyUsage = timeStamping
[web-certificate]
basicConstraints = CA:FALSE
extendedKeyUsage = critical, timeStamping, serverAuth
[tsa]
serial = serial
crypto_device = builtin
default_policy = ${POLICY}
other_policies = 1.3.6.1.4.1.55555.2
digests = sha1, sha256, sha512
signer_digest = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[tsa-sha1-ess]
serial = serial
crypto_device = builtin
default_policy = ${POLICY}
digests = sha256
signer_digest = sha256
ess_cert_id_alg = sha1
[tsa-sha1]
serial = serial
crypto_device = builtin
default_policy = ${POLICY}
digests = sha256
signer_digest = sha1
ess_cert_id_alg = sha256
`

describe.skipIf(!hasOpenssl)('time stamps of RFC 3161', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ate-tsa-'))
    writeFileSync(at('config'), CONFIG)
    writeFileSync(at('serial'), '01')
    certify('ca', undefined, 'ca')
    certify('other-ca', undefined, 'ca')
    certify('tsa', 'ca', 'tsa-certificate')
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const trust = () => ({ roots: [pem('ca.pem')] })

  it('a token that an authority gives for a query is verified, by us and by openssl', async () => {
    const { query, nonce } = timestampQuery(DATA, { policy: POLICY })
    const reply = answer(query)
    const stamp = await verifyTimestamp(reply, DATA, { ...trust(), nonce, policy: POLICY })
    expect(Math.abs(stamp.time.getTime() - Date.now())).toBeLessThan(600_000)
    expect(stamp.policy).toBe(POLICY)
    expect(stamp.serial).toMatch(/^[0-9a-f]{2}$/)
    writeFileSync(at('data'), DATA)
    openssl('ts', '-verify', '-in', 'reply', '-data', 'data', '-CAfile', 'ca.pem')
  })

  it('the token alone is enough, and a root may be bytes', async () => {
    answer(timestampQuery(DATA).query)
    openssl('ts', '-reply', '-in', 'reply', '-token_out', '-out', 'token')
    const stamp = await verifyTimestamp(read('token'), DATA, { roots: [der('ca')] })
    expect(stamp.policy).toBe(POLICY)
  })

  it('a certificate that is named by SHA-1, as old authorities do, is found', async () => {
    const reply = answer(timestampQuery(DATA).query, { config: 'tsa-sha1-ess' })
    expect((await verifyTimestamp(reply, DATA, trust())).policy).toBe(POLICY)
  })

  it('other data, another root, another nonce or another policy is refused', async () => {
    const reply = answer(timestampQuery(DATA).query)
    const tried = (data: string, more: object) => problemOf(verifyTimestamp(reply, data, { ...trust(), ...more }))
    expect(await tried(`${DATA}.`, {})).toBe('BAD_PROOF time stamp: signature, chain or data')
    expect(await tried(DATA, { roots: [pem('other-ca.pem')] })).toBe('BAD_PROOF time stamp: signature, chain or data')
    expect(await tried(DATA, { nonce: timestampQuery(DATA).nonce })).toBe('BAD_PROOF time stamp: nonce')
    expect(await tried(DATA, { policy: '1.2.3' })).toBe(`BAD_PROOF time stamp: policy ${POLICY}`)
    expect(await tried(DATA, { roots: [] })).toMatch(/^BAD_ARGUMENT/)
    expect(await tried(DATA, { roots: ['x'] })).toMatch(/^BAD_ARGUMENT/)
  })

  it.each(['weak-certificate', 'web-certificate'])(
    'a %s, which is not for time stamps alone, is refused',
    async (kind) => {
      // openssl does not sign with such a certificate: it signs with the one of the right kind, and the wrong one of the
      // same key takes its place.
      certifyAgain(kind, kind, 2)
      const swapped = withOther(answer(timestampQuery(DATA).query), der('tsa'), der(kind))
      expect(await problemOf(verifyTimestamp(swapped, DATA, trust()))).toBe(
        'BAD_PROOF time stamp: the certificate is not for time stamps alone',
      )
    },
  )

  it('another certificate of the same key and name does not stand in', async () => {
    certifyAgain('twin', 'tsa-certificate', 1)
    const swapped = withOther(answer(timestampQuery(DATA).query), der('tsa'), der('twin'))
    expect(await problemOf(verifyTimestamp(swapped, DATA, trust()))).toBe(
      'BAD_PROOF time stamp: it names another certificate',
    )
  })

  it('a time after the life of the certificate is refused', async () => {
    certifyAgain('late', 'tsa-certificate', -1)
    const swapped = withOther(answer(timestampQuery(DATA).query), der('tsa'), der('late'))
    expect(await problemOf(verifyTimestamp(swapped, DATA, trust()))).toBe(
      'BAD_PROOF time stamp: signature, chain or data',
    )
  })

  it('what is signed is a time stamp of the first version, by one signer', async () => {
    const reply = Buffer.from(answer(timestampQuery(DATA).query))
    const type = Buffer.from('060b2a864886f70d0109100104', 'hex')
    const content = reply.indexOf(type)
    const attribute = reply.indexOf(type, content + 1)
    const version = reply.indexOf(Buffer.from('02010106092b', 'hex'), content)
    expect(Math.min(content, attribute, version)).toBeGreaterThan(0)
    const altered = (place: number): Promise<string> => {
      const bytes = new Uint8Array(reply)
      bytes[place]! ^= 0x02
      return problemOf(verifyTimestamp(bytes, DATA, trust()))
    }
    expect(await altered(content + 12)).toBe('BAD_PROOF time stamp: it is no time stamp')
    expect(await altered(attribute + 12)).toBe('BAD_PROOF time stamp: content type')
    expect(await altered(version + 2)).toBe('BAD_PROOF time stamp: version')
    const { timeStampToken } = TimeStampResp.fromBER(new Uint8Array(reply).buffer)
    const signed = new SignedData({ schema: timeStampToken!.content })
    signed.signerInfos.push(signed.signerInfos[0]!)
    const both = new ContentInfo({ contentType: ContentInfo.SIGNED_DATA, content: signed.toSchema(true) })
    const token = new Uint8Array(both.toSchema().toBER())
    expect(await problemOf(verifyTimestamp(token, DATA, trust()))).toBe('BAD_PROOF time stamp: signers')
  })

  it('digests that can be forged are refused', async () => {
    const signed = answer(timestampQuery(DATA).query, { config: 'tsa-sha1' })
    expect(await problemOf(verifyTimestamp(signed, DATA, trust()))).toBe('BAD_PROOF time stamp: a weak digest')
    writeFileSync(at('data'), DATA)
    openssl('ts', '-query', '-data', 'data', '-sha1', '-cert', '-out', 'weak-query')
    const imprint = answer(read('weak-query'))
    expect(await problemOf(verifyTimestamp(imprint, DATA, trust()))).toBe('BAD_PROOF time stamp: a weak digest')
  })

  it('a refusal of the authority is told', async () => {
    const reply = answer(timestampQuery(DATA, { policy: '1.2.3.4' }).query)
    expect(await problemOf(verifyTimestamp(reply, DATA, trust()))).toBe(
      'BAD_PROOF time stamp: the authority refused: status 2',
    )
  })

  it('bytes that are altered or cut, nested without end, or too many are refused, and nothing else is thrown', async () => {
    const reply = answer(timestampQuery(DATA).query)
    const { time } = await verifyTimestamp(reply, DATA, trust())
    for (let i = 0; i < reply.length; i += 29) {
      const altered = reply.slice()
      altered[i]! ^= 0x41
      const result = await verifyTimestamp(altered, DATA, trust()).catch((error: unknown) => error)
      if (isAteError(result)) expect(result.code).toBe('BAD_PROOF')
      // What no signature covers may change (the status, an unused certificate), the time may not.
      else expect(result).toMatchObject({ time })
    }
    for (const size of [0, 1, 40, reply.length - 1])
      expect(await problemOf(verifyTimestamp(reply.subarray(0, size), DATA, trust()))).toMatch(/^BAD_PROOF/)
    const nested = new Uint8Array(60_000).fill(0x30).map((byte, i) => (i % 2 === 0 ? byte : 0x80))
    expect(await problemOf(verifyTimestamp(nested, DATA, trust()))).toBe('BAD_PROOF time stamp: form')
    expect(await problemOf(verifyTimestamp(new Uint8Array(70_000), DATA, trust()))).toBe('BAD_PROOF time stamp: size')
  })
})

/** Takes one certificate for another, where the lengths of what is around them fit. */
function withOther(reply: Uint8Array, before: Uint8Array, after: Uint8Array): Uint8Array {
  const bytes = Buffer.from(reply)
  const start = bytes.indexOf(Buffer.from(before))
  expect(start).toBeGreaterThan(0)
  const grown = after.length - before.length
  const whole = Buffer.concat([bytes.subarray(0, start), Buffer.from(after), bytes.subarray(start + before.length)])
  // Every enclosing length of two bytes grows along: answer, token, [0], signed data, certificates.
  for (let i = 0; i + 4 <= start; i++) {
    const isLong = whole[i + 1] === 0x82 && [0x30, 0xa0].includes(whole[i]!)
    const end = i + 4 + whole.readUInt16BE(i + 2)
    if (isLong && end >= start + before.length && end <= bytes.length) whole.writeUInt16BE(end - i - 4 + grown, i + 2)
  }
  return new Uint8Array(whole)
}
