"""Verifies the folder of a chain by docs/FORMAT.md alone: python3 verify.py FOLDER.. Standard library only, so it checks
no ML-DSA or Ed25519 signature and opens nothing: it checks every structure, CRC, hash, link, root, slice and tree."""
import base64, hashlib, os, re, struct, sys, zlib

def check(ok, what):
    if not ok: raise ValueError(what)

H = lambda *parts: hashlib.sha256(b''.join(parts)).digest()
ctx = lambda name: b'ate/1/' + name.encode() + b'\0'
u32 = lambda b, at: struct.unpack_from('>I', b, at)[0]

def u64(b, at):
    check(b[at] == 0 and b[at + 1] < 32, 'a u64 is below 2^53')
    return struct.unpack_from('>Q', b, at)[0]

def tree(leaves):  # Section 1: RFC 9162.
    if len(leaves) < 2: return H(*[b'\0' + leaf for leaf in leaves])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return H(b'\1', tree(leaves[:split]), tree(leaves[split:]))

class Reader:
    def __init__(self, b, at=0): self.b, self.at, self.end = b, at, len(b)
    def raw(self, n):
        check(n <= self.end - self.at, 'bytes end too early')
        self.at += n
        return self.b[self.at - n:self.at]
    def u8(self): return self.raw(1)[0]
    def varint(self, most=2**53 - 1):
        read = self.raw(next((i for i in range(8) if self.b[self.at + i] < 128), 7) + 1)
        value = sum((byte & 127) << 7 * i for i, byte in enumerate(read))
        check(read[-1] < 128 and (read[-1] or len(read) == 1) and value <= most, 'a varint, or its limit')
        return value
    def count(self, most): return self.varint(min(most, self.end - self.at))
    def sized(self, most=2**53 - 1): return self.raw(self.varint(most))
    def done(self): check(self.at == self.end, 'bytes left over')

def canonical(b):  # Section 11: one canonical CBOR item that fills b. Bigints and integers are both int.
    r = Reader(b)
    return (item(r, 0), r.done())[0]

def item(r, depth):
    first, _ = r.u8(), check(depth <= 32, 'CBOR nests too deep')
    major, n = first >> 5, first & 31
    if major == 7:
        check(first in (0xf4, 0xf5, 0xf6, 0xfb), 'a simple value that is not accepted')
        return struct.unpack('>d', r.raw(8))[0] if first == 0xfb else {0xf4: False, 0xf5: True}.get(first)
    if n > 23:
        least, n = {24: 24, 25: 256, 26: 65536, 27: 2**32}[n], int.from_bytes(r.raw(1 << n - 24), 'big')
        check(least <= n < 2**53, 'the shortest form')
    if major < 2: return -1 - n if major else n
    if major < 4: return r.raw(n) if major == 2 else r.raw(n).decode('utf-8')
    if major == 4: return [item(r, depth + 1) for _ in range(n)]
    if major == 6:
        check(n in (1, 2, 3), 'a tag that is accepted')
        content = item(r, depth)
        check(n == 1 or (isinstance(content, bytes) and len(content) <= 16 and content[:1] != b'\0'), 'a bigint')
        return content if n == 1 else (5 - 2 * n) * int.from_bytes(content, 'big') - (n == 3)
    found, last = {}, b''
    for _ in range(n):
        at, key = r.at, item(r, depth)
        check(isinstance(key, str) and r.b[at:r.at] > last, 'keys ascend')
        last, found[key] = r.b[at:r.at], item(r, depth + 1)
    return found

def records_of(folder):  # Section 13: the frames of all segments, as (hash, bytes), and the label.
    manifest = open(os.path.join(folder, 'MANIFEST'), 'rb').read()
    block = lambda b, magic: b[:4] == magic and b[4] in (1, 2) and zlib.crc32(b[:508]) == u32(b, 508)
    slots = [manifest[i * 4096:i * 4096 + 512] for i in (0, 1)]
    slot = max([s for i, s in enumerate(slots) if block(s, b'ATEM') and u64(s, 8) % 2 == i], key=lambda s: u64(s, 8))
    label, first, count, durable = slot[24:56], u64(slot, 56), u64(slot, 64), u64(slot, 72)
    found, before = [], bytes(32)
    for number in range(first, first + count):
        b = open(os.path.join(folder, 'seg-%06d.ate' % number), 'rb').read()
        h = next(b[i:i + 512] for i in (0, 2048) if block(b[i:i + 512], b'ATES'))
        check((u64(h, 8), u64(h, 16), h[24:56], h[80:112]) == (number, len(found), label, before), 'a segment follows')
        nonce, at, epoch, sealed = h[56:72], 4096, u64(h, 72), False
        while at + 64 <= len(b) and not sealed and any(b[at:at + 64]):
            size, seq, n, kind = u32(b, at + 4), u64(b, at + 8), u32(b, at + 16), u32(b, at + 20)
            check(b[at:at + 4] + b[at + 32:at + 48] == b'ATEF' + nonce and kind in (1, 2), 'frame at %d' % at)
            check(zlib.crc32(b[at:at + 60]) == u32(b, at + 60) and size % 8 == 0, 'frame header at %d' % at)
            check(seq == len(found) >= u64(b, at + 24) and u64(b, at + 48) >= epoch, 'frame order at %d' % at)
            body, epoch, sealed = b[at + 64:at + 64 + size], u64(b, at + 48), kind == 2
            check(len(body) == size and zlib.crc32(body) == u32(b, at + 56), 'frame body at %d' % at)
            if sealed: check(n == 0 and body == struct.pack('>QQ', seq - u64(h, 16), at) + before, 'seal')
            r = Reader(body)
            for _ in range(n):
                length, before = u32(r.raw(4), 0), r.raw(32)
                found.append((before, r.raw(length)))
            check(sealed or (n > 0 and size - r.at < 8), 'frame shape at %d' % at)
            at += 64 + size
        check(not any(b[at:]), 'bytes behind the last frame of segment %d' % number)
        check(sealed == (number + 1 < first + count), 'a segment with a successor is sealed')
    check(0 < durable <= len(found) and found[durable - 1][0] == slot[80:112], 'what was durable is there')
    return found, label

def commit(b, chain):  # Section 5: structure, slices and root; gives writer, number, base, certificate and commit hash.
    start, r = 275 + u32(b, 267), Reader(b, 275)
    certificate, at = r.raw(start - 275), start + u32(b, 271)
    check(b[81:83] == b'\1\1' and at <= len(b), 'format, suite or clear part of a commit')
    r.end = at
    entities = [r.raw(16) for _ in range(r.count(131072))]
    names = [r.sized(512).decode('utf-8') for _ in range(r.count(65536))]
    leaves, blocks = [b'\0' + b[start:r.at]], []
    for _ in range(r.u8()):
        start, node, _, mode = r.at, r.varint(), r.varint(), r.u8()
        check(node < len(entities) and mode in (0, 1), 'node and mode of a block')
        r.raw(1200 if mode else 80)
        blocks.append((at, r.varint()))
        at += blocks[-1][1]
        leaves.append(b'\1' + b[start:r.at])
    check(at == len(b), 'blocks fill the record')
    left, used = 65536, [0] * len(blocks)
    for _ in range(r.count(16384)):
        start, _ = r.at, r.raw(16)
        for _ in range(r.count(65536)):
            kind, _, name, _ = r.u8(), r.raw(16), r.varint(), r.varint()
            check(1 <= kind <= 4 and name < len(names), 'kind and name of a guard')
        leaf, n = b'\2' + b[start:r.at], r.count(left)
        ends, left = [r.at] + [event(r, b, entities, names, blocks, used) for _ in range(n)], left - n
        runs = ends[:-1:16] + ends[-1:]
        leaves.append(leaf + tree([b'\3' + b[x:y] for x, y in zip(runs, runs[1:])]))
    check(r.at == r.end and used == [size for _, size in blocks], 'slices fill their blocks')
    check(tree(leaves) == b[171:203], 'root of a commit')
    hashed = H(ctx('commit'), chain, b[81:203], H(certificate) if certificate else bytes(32))
    return b[83:115], u64(b, 115), u64(b, 123), b[131:163], certificate, hashed

def event(r, b, entities, names, blocks, used):
    op, flags = r.u8(), r.u8()
    check(1 <= op <= 14 and not flags & ~{1: 7, 2: 5}.get(op, 4), 'op and flags of an event')
    if op != 1: r.raw(16)
    check(op not in (1, 4) or (r.varint() < len(entities) and r.varint() < len(names)), 'place')
    check(op != 1 or r.varint() < len(names), 'type')
    key, version = flags & 2 and r.raw(16), r.varint()
    if flags & 4: check(isinstance(canonical(r.sized(524288)), dict), 'rare fields')
    if flags & 1:
        block, size = r.varint(), r.varint()
        at = blocks[block][0] + used[block]
        used[block] += size
        check(used[block] <= blocks[block][1] and H(b[at:at + size]) == r.raw(32), 'a body differs from its hash')
    return r.at

def base32(b):
    n = int.from_bytes(b, 'big') << -len(b) * 8 % 5
    return ''.join('0123456789abcdefghjkmnpqrstvwxyz'[n >> 5 * i & 31] for i in reversed(range((len(b) * 8 + 4) // 5)))

def verify(folder):
    records, chain = records_of(folder)
    prev, writers, attested = bytes(32), {}, 0  # writers: [highest number, hashes not attested] by certificate id
    for seq, (stored, b) in enumerate(records):
        kind, payload = b[80], b[81:]
        check(len(b) <= 983040 and u64(b, 0) == seq and b[8:40] == prev and u64(b, 40) >= 0, 'link of record %d' % seq)
        check((kind == 1) == (seq == 0) and 1 <= kind <= 5, 'kind of record %d' % seq)
        r, inner = Reader(payload), H(ctx('payload'), payload)
        if kind == 1:
            parameters, epoch = r.sized(524288), canonical(r.sized(524288))['epoch']
            check(H(ctx('genesis'), parameters) == chain, 'the chain id is the label')
            given, n = canonical(parameters), r.varint()
            keys = 'level nonce roots suite format durability sequencers checkpointKeys'
            check(given['format'] == given['suite'] == 1 and ' '.join(given) == keys, 'parameters')
            check(len(given['roots']) == n and r.end - r.at == 3373 * n, 'signatures')
            named = sorted(H(ctx('identity'), keys) for keys in given['roots'])
            check(sorted(wrap['to'] for wrap in epoch['wraps']) == named, 'wraps of the root')
        elif kind == 2:
            writer, number, base, base_hash, certificate, hashed = commit(b, chain)
            inner = H(ctx('commit-payload'), hashed, b[203:267])
            check(base < seq and records[base][0] == base_hash, 'base of record %d' % seq)
            if writer not in writers:
                c = Reader(certificate)
                encoded = c.sized(8192)
                check(H(ctx('certificate-id'), encoded) == writer and c.end - c.at == 3373, 'certificate')
                body, writers[writer] = canonical(encoded), [0, []]
                identity = H(ctx('identity'), body['keys']) if 'keys' in body else body['identity']
                check(body['chain'] == chain and identity == body['identity'], 'certificate of this chain')
            check(number == writers[writer][0] + 1, 'number of record %d (void commits are not judged here)' % seq)
            writers[writer] = [number, writers[writer][1] + [hashed]]
        elif kind == 3:
            body = canonical(r.sized(1024))
            check(r.end - r.at == 3373 and body['chain'] == chain and body['seq'] < seq, 'attestation')
            (mark, waiting), n = writers[body['certificate']], body['to'] - body['from'] + 1
            check(0 < n <= len(waiting) and body['from'] == mark - len(waiting) + 1, 'attested range')
            check(tree(waiting[:n]) == body['root'] and records[body['seq']][0] == body['hash'], 'attested root')
            attested, writers[body['certificate']] = attested + n, [mark, waiting[n:]]
        elif kind == 4:
            lines = payload.decode('utf-8').split('\n')
            check(lines[:2] + lines[3:4] + lines[-1:] == ['ate/' + base32(chain), str(seq), '', ''], 'checkpoint')
            check(base64.b64decode(lines[2]) == tree([h for h, _ in records[:seq]]), 'root of a checkpoint')
            signed = [re.fullmatch('— %s [A-Za-z0-9+/]{91}=' % lines[0], line) for line in lines[4:-1]]
            check(signed and all(signed), 'signatures of a checkpoint')
        else:
            check(r.count(65536) * 16 == r.end - r.at, 'sweep')
        prev = H(ctx('record'), chain, b[:81], inner)
        check(prev == stored, 'hash of record %d' % seq)
    return '%d records, %d commits attested, chain %s, head %s' % (len(records), attested, base32(chain), prev.hex())

failed = False
for folder in sys.argv[1:]:
    try: print('ok:', verify(folder))
    except Exception as problem: failed = print('bad: %r' % problem) is None
sys.exit(failed)
