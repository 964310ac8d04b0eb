"""Verifies chains and proofs by docs/FORMAT.md alone: python3 verify.py FOLDER.. CHAIN-ID=PROOF-FILE.. No ML-DSA: of
what identities sign it checks form and hashes. It judges no rights. Storage: folder.py; standards: standards.py."""
import json, sys
from folder import kept, records_of
from standards import H, Reader, base32, canonical, check, climb, grow, hashes, signed, tree, u32, u64, unbase

tagged = lambda name, *parts: H(b'ate/1/', name.encode(), b'\0', *parts)
LAST_KIND, LAST_OP, FLAGS = 6, 14, {1: 7, 2: 5}  # Every other op has flag 4 alone.

def dictionary(r):  # How many ids and names there are to point at.
    ids = [r.raw(16) for _ in range(r.varint(131072))]
    return len(ids), len([r.sized(512).decode('utf-8') for _ in range(r.varint(65536))])

def head_of_transaction(r, sizes):  # The nonce and the guards.
    r.raw(16)
    for _ in range(r.varint(65536)):
        kind, _, name, _ = r.raw(1)[0], r.raw(16), r.varint(), r.varint()
        check(1 <= kind <= 4 and name < sizes[1], 'kind and name of a guard')

def event(r, sizes, keys, spans=None):  # Section 5.2. The hash of its body, if it has one; compared, where bodies are.
    op, flags = r.raw(2)
    check(1 <= op <= LAST_OP and not flags & ~FLAGS.get(op, 4), 'op and flags of an event')
    if op != 1: r.raw(16)
    for which in {1: (0, 1, 1), 4: (0, 1)}.get(op, ()): check(r.varint() < sizes[which], 'an index')
    _, _ = flags & 2 and r.raw(16), r.varint()
    if flags & 4: keys += check(canonical(r.sized(524288)), 'rare fields').get('root', {}).get('checkpointKeys', [])
    if not flags & 1: return None
    block, size, body = r.varint(), r.varint(), r.raw(32)
    if spans:
        start, spans[block][0] = spans[block][0], spans[block][0] + size
        there = [at + start - first for first, n, at in spans[block][2] if first <= start and start + size <= first + n]
        check(not there or H(r.b[there[0]:there[0] + size]) == body, 'a body differs from its hash')
    return body

def commit(b, chain, keys):  # Section 5: structure, slices and root; the certificate and the commit hash.
    start, certificate = 275 + u32(b, 267), b[275:275 + u32(b, 267)]
    r = Reader(b, start, start + u32(b, 271) % 2**31)
    sizes, spans = check(b[81:83] == b'\1\1' and r.end <= len(b), 'format of a commit') and dictionary(r), []
    leaves = [b'\0' + b[start:r.at]]
    for _ in range(r.raw(1)[0]):
        start, node, _, mode = r.at, r.varint(), r.varint(), r.raw(1)[0]
        check(node < sizes[0] and mode in (0, 1) and r.raw(1200 if mode else 80), 'node and mode of a block')
        spans.append(r.varint())
        leaves.append(b'\1' + b[start:r.at])
    spans = kept(b, r.end, spans, u32(b, 271) >> 31)
    for _ in range(r.varint(16384)):
        start, _ = r.at, head_of_transaction(r, sizes)
        leaf, n = b'\2' + b[start:r.at], r.varint(65536)
        ends = [r.at] + [(event(r, sizes, keys, spans), r.at)[1] for _ in range(n)]
        runs = ends[:-1:16] + ends[-1:]
        leaves.append(leaf + tree([b'\3' + b[x:y] for x, y in zip(runs, runs[1:])]))
    check(r.done() and all(filled == size for filled, size, _ in spans), 'slices fill their blocks')
    check(tree(leaves) == b[171:203], 'root of a commit')
    return certificate, tagged('commit', chain, b[81:203], H(certificate) if certificate else bytes(32))

def session_of(certificate, writer, chain):  # Section 6.1: the key that signs commits.
    r = Reader(certificate)
    check(tagged('certificate-id', encoded := r.sized(8192)) == writer and r.done(3373), 'certificate of the writer')
    body = canonical(encoded)
    named = 'keys' not in body or tagged('identity', body['keys']) == body['identity']
    return check(named and body['chain'] == chain, 'certificate of the chain') and body['session']

def parameters(b, chain):  # Section 4.
    given = check(tagged('genesis', b) == chain, 'the chain id is that of the genesis') and canonical(b)
    names = 'level nonce roots suite format durability sequencers checkpointKeys'
    return check(' '.join(given) == names and given['format'] == given['suite'] == 1, 'parameters') and given

def note(text, chain, keys):  # Section 6.3: size and root.
    text, _, lines = text.partition('\n\n')
    origin, size, root = text.split('\n')
    check(origin == 'ate/' + base32(chain) and size == str(int(size)) and lines[-1:] == '\n', 'form of a checkpoint')
    own = [unbase(line[len(origin) + 3:]) for line in lines.split('\n') if line.startswith('— %s ' % origin)]
    mine = lambda key, line: H(origin.encode(), b'\n\1', key)[:4] == line[:4]
    good = [key for key in keys for line in own if mine(key, line) and signed(key, (text + '\n').encode(), line[4:])]
    return check(good, 'signature of a checkpoint') and (int(size), unbase(root))

def verify(folder):
    records, chain = records_of(folder)
    prev, writers, attested, keys = bytes(32), {}, 0, []  # By writer: session key, last number, not attested.
    for seq, (stored, b) in enumerate(records):
        kind, r, inner = b[80], Reader(b, 81), tagged('payload', b[81:])
        check(len(b) <= 983040 and u64(b, 0) == seq and b[8:40] == prev and u64(b, 40) >= 0, 'link of record %d' % seq)
        check((kind == 1) == (seq == 0) and 1 <= kind <= LAST_KIND, 'kind of record %d' % seq)
        if kind == 1:
            given, epoch = parameters(r.sized(524288), chain), canonical(r.sized(524288))['epoch']
            named, keys = sorted(tagged('identity', root) for root in given['roots']), given['checkpointKeys']
            check(r.varint() == len(named) and r.done(3373 * len(named)), 'signatures')
            check(sorted(wrap['to'] for wrap in epoch['wraps']) == named, 'wraps of the root')
        elif kind == 2:
            certificate, hashed = commit(b, chain, keys)
            inner, writer, base = tagged('commit-payload', hashed, b[203:267]), b[83:115], u64(b, 123)
            check(base < seq and records[base][0] == b[131:163], 'base of record %d' % seq)
            if writer not in writers: writers[writer] = [session_of(certificate, writer, chain), 0, []]
            session, mark, waiting = writers[writer]
            check(u64(b, 115) == mark + 1, 'number of record %d (void commits are not judged here)' % seq)
            check(signed(session, hashed, b[203:267]), 'signature of record %d' % seq)
            writers[writer] = [session, mark + 1, waiting + [hashed]]
        elif kind == 3:
            body = canonical(r.sized(1024))
            (session, mark, waiting), n = writers[body['certificate']], body['to'] - body['from'] + 1
            check(r.done(3373) and body['chain'] == chain and body['seq'] < seq, 'attestation')
            check(0 < n <= len(waiting) and body['from'] == mark - len(waiting) + 1, 'attested range')
            check(tree(waiting[:n]) == body['root'] and records[body['seq']][0] == body['hash'], 'attested root')
            attested, writers[body['certificate']] = attested + n, [session, mark, waiting[n:]]
        elif kind == 4:
            check(note(b[81:].decode(), chain, keys) == (seq, tree([h for h, _ in records[:seq]])), 'checkpoint root')
        elif kind == 5: check(r.varint(65536) * 16 == r.end - r.at, 'sweep')
        else: check((body := canonical(r.sized(2048)))['chain'] + body['prev'] == chain + prev and r.done(3373)
                    and 0 < body['from'] <= seq and body['hash'] == records[body['from'] - 1][0], 'recovery')
        prev = check(tagged('record', chain, b[:81], inner) == stored, 'hash of record %d' % seq) and stored
    return '%d records, %d commits attested, chain %s, head %s' % (len(records), attested, base32(chain), prev.hex())

def prove(chain_id, file):  # Section 16.
    p = json.load(open(file))
    chain = tagged('genesis', unbase(p['genesis']))
    check(base32(chain) == p['chain'] == chain_id, 'the proof is of another chain')
    keys = parameters(unbase(p['genesis']), chain)['checkpointKeys']
    if p['format'] == 'ate-consistency/1':
        (m, old), (n, new) = note(p['from'], chain, keys), note(p['to'], chain, keys)
        check(list(grow(old, m, n, hashes(p['path']))) == [old, new], 'path between the checkpoints')
        return 'the first %d of %d records are those of the older checkpoint' % (m, n)
    (size, root), record, c, bodies = note(p['checkpoint'], chain, keys), p['record'], p.get('commit'), []
    head, inner = unbase(record['head']), unbase(record.get('payload', ''))
    if c:
        commit_head, signature = unbase(c['head']), unbase(c['signature'])
        hashed = tagged('commit', chain, commit_head, unbase(c['rides']))
        session = session_of(unbase(c['certificate']), commit_head[2:34], chain)
        inner = check(signed(session, hashed, signature), 'signature') and tagged('commit-payload', hashed, signature)
        if 'transaction' in p: bodies = transaction(p['transaction'], commit_head[90:122])
    hashed = tagged('record', chain, head, inner)
    check(climb(H(b'\0', hashed), u64(head, 0), size, hashes(record['path'])) == root, 'path of the record')
    if 'ciphertext' in p.get('event', []):
        check(H(unbase(p['event']['ciphertext'])) == bodies[p['event']['index']], 'the sealed value')
    return 'record %d, hash %s, %d events' % (u64(head, 0), hashed.hex(), len(bodies))

def transaction(t, root):  # The hashes of the bodies that its events wrote.
    r, head, runs = Reader(unbase(t['dictionary'])), Reader(unbase(t['head'])), hashes(t['runs'])
    check((sizes := dictionary(r), head_of_transaction(head, sizes), head.done(), r.done()), 'head')
    alone = 'runPath' in t and climb(H(b'\0\3', runs[0]), t['runIndex'], t['runCount'], hashes(t['runPath']))
    leaf = H(b'\0\2', head.b, alone or tree([b'\3' + run for run in runs]))
    check(climb(leaf, t['index'], t['size'], hashes(t['path'])) == root, 'path of the transaction')
    check(climb(H(b'\0\0', r.b), 0, t['size'], hashes(t['dictionaryPath'])) == root, 'path of the dictionary')
    bodies = []
    for r in map(Reader, runs):
        while r.at < r.end: bodies.append(event(r, sizes, []))
    return bodies
def run(given):
    try: print('ok:', prove(*given.split('=', 1)) if '=' in given else verify(given))
    except Exception as problem: return print('bad: %r' % problem) is None
sys.exit(any([run(given) for given in sys.argv[1:]]))
