/** Files of other tools. The SOPS file is made here, by its format's rules. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { armor, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption'
import { afterEach, describe, expect, it } from 'vitest'
import { parseImport } from '../src/vault/formats.ts'

const read = async (text: string, name: string, format: Parameters<typeof parseImport>[1] = 'auto'): Promise<unknown> =>
  Object.fromEntries(await parseImport(text, format, name))

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
    return 'none'
  } catch (error) {
    expect(String(error)).not.toContain('canary')
    return (error as { code: string }).code
  }
}

describe('dotenv', () => {
  it('is read as it is loaded', async () => {
    const text = "# comment\nA=1\nexport B=\"x\\ny\"\nC='$HOME # no'\nD=a b # comment\nA=2\nE=`it's`\n"
    expect(await read(text, '.env')).toEqual({ A: '2', B: 'x\ny', C: '$HOME # no', D: 'a b', E: "it's" })
    expect(await read(text, 'settings')).toEqual(await read(text, '.env.production'))
  })
})

describe('json and yaml', () => {
  it('objects of objects are folders, an object of plain values is one secret', async () => {
    const tree = { db: { url: 'x', port: 5432 }, api: { stripe: { key: 'k' }, timeout: 5 }, name: 'app', list: [1, 2] }
    const wanted = { db: tree.db, 'api/stripe': { key: 'k' }, 'api/timeout': 5, name: 'app', list: [1, 2] }
    expect(await read(JSON.stringify(tree), 'x.json')).toEqual(wanted)
    const yaml = 'db:\n  url: x\n  port: 5432\napi:\n  stripe:\n    key: k\n  timeout: 5\nname: app\nlist: [1, 2]\n'
    expect(await read(yaml, 'x.yaml')).toEqual(wanted)
    expect(await read(yaml, 'x')).toEqual(wanted)
  })

  it.each([
    ['{"a": "canary"', 'x.json'],
    ['a: canary\n b: [', 'x.yaml'],
    ['a: canary\na: again', 'x.yaml'],
    ['[1, 2]', 'x.yaml'],
    ['just canary text', 'x.yaml'],
    ['', 'x.json'],
    ['not a line of canary', '.env'],
    // What a number would not keep, or a merge would leave out.
    ['{"a": 12345678901234567890}', 'x.json'],
    ['{"a": [1e400]}', 'x.json'],
    ['{"a": 0.1234567890123456789}', 'x.json'],
    ['{"a": 1e-400}', 'x.json'],
    ['pin: 0123', 'x.yaml'],
    ['version: 1.10', 'x.yaml'],
    ['id: 12345678901234567890', 'x.yaml'],
    ['mask: 0x1f', 'x.yaml'],
    ['? 007\n: canary', 'x.yaml'],
    ['a: &a { x: canary }\nb:\n  <<: *a', 'x.yaml'],
    // Two values at one path.
    ['{"a/b": "canary", "a": {"b": {"x": 1}, "c": 1}}', 'x.json'],
  ])('%j is none', async (text, name) => {
    expect(await codeOf(read(text, name))).toBe('BAD_VALUE')
  })

  it('numbers that come back as they are written are numbers', async () => {
    const text = '{"a": 9007199254740991, "b": -1.5e3, "c": "12345678901234567890 \\" 1e400", "d": 0, "e": 0.25}'
    const tree = { a: 9007199254740991, b: -1500, c: '12345678901234567890 " 1e400', d: 0, e: 0.25 }
    expect(await read(`{"x": ${text}}`, 'x.json')).toEqual({ x: tree })
    expect(await read('a: 9007199254740991\nb: "007"\nc: -1.5\n', 'x.yaml')).toEqual({
      a: 9007199254740991,
      b: '007',
      c: -1.5,
    })
    const long = 'x\\n'.repeat(1_000_000)
    expect(((await read(`{"a": "${long}"}`, 'x.json')) as { a: string }).a.length).toBe(2_000_000)
  })

  it('a bomb of aliases is refused', async () => {
    const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
    for (let i = 1; i < 12; i++)
      lines.push(
        `a${i}: &a${i} [${Array(9)
          .fill(`*a${i - 1}`)
          .join(', ')}]`,
      )
    expect(await codeOf(read(lines.join('\n'), 'x.yaml'))).toBe('BAD_VALUE')
  })
})

describe('vault kv get -format=json', () => {
  it('of both versions of the engine', async () => {
    const two = { request_id: 'r', lease_id: '', data: { data: { url: 'x' }, metadata: { version: 3 } } }
    const one = { request_id: 'r', lease_id: '', data: { url: 'x' } }
    expect(await read(JSON.stringify(two), 'out.json')).toEqual({ '': { url: 'x' } })
    expect(await read(JSON.stringify(one), 'out.json', 'vault-kv')).toEqual({ '': { url: 'x' } })
    expect(await codeOf(read('{"a":1}', 'x', 'vault-kv'))).toBe('BAD_VALUE')
    const deleted = { request_id: 'r', data: { data: null, metadata: { version: 3, deletion_time: '2026-01-01' } } }
    expect(await codeOf(read(JSON.stringify(deleted), 'out.json'))).toBe('BAD_VALUE')
  })
})

type Tree = { [name: string]: unknown }

async function sopsFile(tree: Tree, recipient: string): Promise<Tree> {
  const key = randomBytes(32)
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  const enc = armor.encode(await encrypter.encrypt(new Uint8Array(key)))
  const hash = createHash('sha512')
  const seal = (text: string, type: string, bound: string): string => {
    const iv = randomBytes(32)
    const cipher = createCipheriv('aes-256-gcm', key, iv)
    cipher.setAAD(Buffer.from(bound))
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return `ENC[AES256_GCM,data:${data.toString('base64')},iv:${iv.toString('base64')},tag:${cipher.getAuthTag().toString('base64')},type:${type}]`
  }
  const walk = (item: unknown, path: readonly string[]): unknown => {
    if (Array.isArray(item)) return item.map((one) => walk(one, path))
    if (typeof item === 'object' && item !== null)
      return Object.fromEntries(Object.entries(item).map(([name, one]) => [name, walk(one, [...path, name])]))
    const [text, type] =
      typeof item === 'boolean'
        ? [item ? 'True' : 'False', 'bool']
        : typeof item === 'number'
          ? [String(item), 'int']
          : [String(item), 'str']
    hash.update(text)
    if (path.at(-1)?.endsWith('_unencrypted')) return item
    return text === '' ? '' : seal(text, type, `${path.join(':')}:`)
  }
  const sealed = walk(tree, []) as Tree
  const lastmodified = '2026-01-02T03:04:05Z'
  const mac = seal(hash.digest('hex').toUpperCase(), 'str', lastmodified)
  return {
    ...sealed,
    sops: { age: [{ recipient, enc }], lastmodified, mac, unencrypted_suffix: '_unencrypted', version: '3.10.0' },
  }
}

describe('SOPS', () => {
  afterEach(() => {
    delete process.env['SOPS_AGE_KEY']
  })
  const tree = {
    db: { url: 'canary', port: 5432, tls: true, empty: '', hosts: ['a', 'b'], note_unencrypted: 'open' },
    name: 'x',
  }

  it('opens with an age key, values of every type', async () => {
    const identity = await generateX25519Identity()
    const file = await sopsFile(tree, await identityToRecipient(identity))
    expect(JSON.stringify(file)).not.toContain('canary')
    process.env['SOPS_AGE_KEY'] = identity
    expect(await read(JSON.stringify(file), 'x.json')).toEqual({ db: tree.db, name: 'x' })
    // The same as YAML: a JSON text is one.
    expect(await read(JSON.stringify(file), 'x.yaml', 'sops')).toEqual({ db: tree.db, name: 'x' })
  })

  it('with no key, the wrong one, or a value that was moved, changed or taken out, says so', async () => {
    const identity = await generateX25519Identity()
    const file = await sopsFile(tree, await identityToRecipient(identity))
    const text = (change: (copy: Tree & { db: Tree; sops: Tree }) => void): string => {
      const copy = structuredClone(file) as Tree & { db: Tree; sops: Tree }
      change(copy)
      return JSON.stringify(copy)
    }
    expect(await codeOf(read(JSON.stringify(file), 'x.json'))).toBe('NO_READ_KEY')
    process.env['SOPS_AGE_KEY'] = await generateX25519Identity()
    expect(await codeOf(read(JSON.stringify(file), 'x.json'))).toBe('NO_READ_KEY')
    process.env['SOPS_AGE_KEY'] = identity
    const bad = [
      text((copy) => {
        copy['name'] = copy.db['url']
      }),
      text((copy) => {
        delete copy.db['port']
      }),
      text((copy) => {
        copy.db['note_unencrypted'] = 'changed'
      }),
      text((copy) => {
        copy['added'] = 'plain'
      }),
      text((copy) => {
        copy.sops['mac'] = copy['name']
      }),
      text((copy) => {
        copy.db['url'] = String(copy.db['url']).replace('data:', 'data:AAAA')
      }),
      text((copy) => {
        copy.db['url'] = 'ENC[AES256_GCM,oops]'
      }),
      text((copy) => {
        copy.sops['mac_only_encrypted'] = true
      }),
      text((copy) => {
        copy.sops['age'] = []
      }),
    ]
    for (const one of bad) expect(await codeOf(read(one, 'x.json'))).toBe('BAD_VALUE')
  })
})
