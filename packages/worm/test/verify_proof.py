"""Verifies a proof of an archive by the README and docs/FORMAT.md alone, without a chain, a key or our code:

    python3 verify_proof.py LOG-KEY PROOF-FILE BODY-FILE [QUORUM WITNESS-KEY..]

Keys are ORIGIN+KEYID+BASE64 or NAME+KEYID+BASE64 of C2SP. No ML-DSA: of what identities sign it checks the hashes."""
import base64, hashlib, json, os, struct, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../core/test/format'))
from standards import H, Reader, base32, canonical, check, climb, hashes, signed, tree, u64, unbase

tagged = lambda name, *parts: H(b'ate/1/', name.encode(), b'\0', *parts)
DASH = '\u2014 '

def known(text, kind):  # Name, hash of the key and key of a verifier key.
    name, hashed, encoded = text.split('+', 2)
    typed = unbase(encoded)
    check(typed[0] == kind and len(typed) == 33, 'the type of a key')
    check(H(name.encode(), b'\n', typed)[:4].hex() == hashed, 'the hash of a key')
    return name, bytes.fromhex(hashed), typed[1:]

def lines_of(note, name, hashed):  # What stands behind the hash, on the lines of this key.
    lines = [unbase(line[len(DASH + name) + 1:]) for line in note.split('\n') if line.startswith(DASH + name + ' ')]
    return [line[4:] for line in lines if line[:4] == hashed]

def checkpoint(note, log, witnesses):  # Size, root, and the times of those who have cosigned (FORMAT 6.3).
    name, hashed, key = log
    text, _, lines = note.partition('\n\n')
    origin, size, root = text.split('\n')
    check(origin == name and size == str(int(size)), 'the origin of the checkpoint')
    text = (text + '\n').encode()
    check(any(signed(key, text, line) for line in lines_of(lines, name, hashed)), 'the signature of the log')
    times = []
    for name, hashed, key in witnesses:
        for line in lines_of(lines, name, hashed)[:1]:
            seconds = struct.unpack('>Q', line[:8])[0]
            check(signed(key, b'cosignature/v1\ntime %d\n' % seconds + text, line[8:]), 'a cosignature')
            times.append(seconds)
    return int(size), unbase(root), sorted(times)

def session_of(certificate, writer, chain):  # The key that signs commits (FORMAT 6.1).
    r = Reader(certificate)
    encoded = r.sized(8192)
    body = canonical(encoded)
    check(tagged('certificate-id', encoded) == writer and body['chain'] == chain, 'the certificate')
    return body['session']

def retains(run, sizes):  # Rare fields of the events `retain` (FORMAT 5.2).
    r, found = Reader(run), []
    while r.at < r.end:
        op, flags = r.raw(2)
        check(1 <= op <= 14, 'an op')
        if op != 1: r.raw(16)
        for which in {1: (0, 1, 1), 4: (0, 1)}.get(op, ()): check(r.varint() < sizes[which], 'an index')
        if flags & 2: r.raw(16)
        r.varint()
        rare = canonical(r.sized(524288)) if flags & 4 else {}
        if op == 9: found.append(rare)
        if flags & 1: r.varint(), r.varint(), r.raw(32)
    return found

def transaction(t, root):  # Its events, all of them there, under the root of the commit (FORMAT 5.4, 16).
    r = Reader(unbase(t['dictionary']))
    sizes = len([r.raw(16) for _ in range(r.varint(131072))]), len([r.sized(512) for _ in range(r.varint(65536))])
    r.done()
    runs = hashes(t['runs'])
    check('runPath' not in t and len(runs) == t['runCount'], 'all events')
    leaf = H(b'\0\2', unbase(t['head']), tree([b'\3' + run for run in runs]))
    check(climb(leaf, t['index'], t['size'], hashes(t['path'])) == root, 'the place of the transaction')
    check(climb(H(b'\0\0', r.b), 0, t['size'], hashes(t['dictionaryPath'])) == root, 'the place of the dictionary')
    return [event for run in runs for event in retains(run, sizes)]

def verify(log, proof, body, quorum=0, *witnesses):
    log, text = known(log, 1), open(proof, encoding='utf-8').read()
    above, _, note = text.partition('\n\n')
    header, extra, index, *path = above.split('\n')
    check(header == 'c2sp.org/tlog-proof@v1' and extra[:6] == 'extra ' and index[:6] == 'index ', 'the form of a proof')
    extra = json.loads(unbase(extra[6:]))
    manifest, p = extra['manifest'], extra['proof']
    check(extra['format'] == 'ate-worm-proof/1', 'the format')
    chain = tagged('genesis', unbase(p['genesis']))
    check(log[0] == 'ate/' + base32(chain), 'the log is that of the genesis')
    size, root, times = checkpoint(note, log, [known(key, 4) for key in witnesses])
    check(len(times) >= int(quorum), 'the quorum of the witnesses')
    c, record_head = p['commit'], unbase(p['record']['head'])
    head, signature = unbase(c['head']), unbase(c['signature'])
    hashed = tagged('commit', chain, head, unbase(c['rides']))
    check(signed(session_of(unbase(c['certificate']), head[2:34], chain), hashed, signature), 'the signature of the commit')
    record = tagged('record', chain, record_head, tagged('commit-payload', hashed, signature))
    check(index == 'index %d' % u64(record_head, 0), 'the number of the record')
    check(climb(H(b'\0', record), u64(record_head, 0), size, hashes(path)) == root, 'the place of the record')
    locks = [e for e in transaction(p['transaction'], head[90:122]) if e.get('digest') == H(manifest.encode())]
    check(len(locks) == 1 and 'lock' in locks[0], 'a lock that carries the hash of the manifest')
    manifest, read = json.loads(manifest), open(body, 'rb').read()
    check(manifest['sha256'] == hashlib.sha256(read).hexdigest(), 'the body')
    check(manifest['size'] == str(len(read)), 'the size of the body')
    until = locks[0].get('retain', 'no time')
    return '%s, %s until %s, %s of %d, %d witnesses' % (manifest['name'], locks[0]['lock'], until, index, size, len(times))

try: print('ok: ' + verify(*sys.argv[1:]))
except Exception as problem:
    print('bad: %r' % problem)
    sys.exit(1)
