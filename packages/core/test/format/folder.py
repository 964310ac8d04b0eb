"""How records and bodies are stored, by docs/FORMAT.md: the folder of a file log (13), sealed blocks (5.3, 5.5)."""
import os, struct, zlib
from standards import Reader, check, u32, u64

def records_of(folder):  # Those of all segments, as (hash, bytes), and the label.
    block = lambda b, magic: b[:4] == magic and b[4] in (1, 2, 3) and zlib.crc32(b[:508]) == u32(b, 508)
    manifest = open(os.path.join(folder, 'MANIFEST'), 'rb').read()
    slots = [s for i, s in enumerate([manifest[:512], manifest[4096:4608]]) if block(s, b'ATEM') and u64(s, 8) % 2 == i]
    slot = max(slots, key=lambda s: u64(s, 8))
    label, first, segments, durable, last = struct.unpack('>32sQQQ32s', slot[24:112])
    found, before, number = [], bytes(32), first
    while number < first + segments:
        b, at, sealed = open(os.path.join(folder, 'seg-%06d.ate' % number), 'rb').read(), 4096, False
        h = next(b[i:i + 512] for i in (0, 2048) if block(b[i:i + 512], b'ATES'))
        behind = number + (u64(h, 112) if h[4] == 3 else 1)
        check(number < behind <= first + segments, 'numbers that a segment stands for')
        check((u64(h, 8), u64(h, 16), h[24:56], h[80:112]) == (number, len(found), label, before), 'a segment follows')
        while any(b[at:at + 64]):
            size, seq, count, kind, mark, nonce, epoch, crc, own = struct.unpack_from('>IQIIQ16sQII', b, at + 4)
            body, sealed = b[at + 64:at + 64 + size], check(not sealed, 'a frame behind the seal') and kind == 2
            check(b[at:at + 4] + nonce == b'ATEF' + h[56:72] and own == zlib.crc32(b[at:at + 60]), 'frame header')
            check(len(body) == size and size % 8 == 0 and zlib.crc32(body) == crc, 'frame body')
            check(seq == len(found) >= mark and epoch >= u64(h, 72), 'frame order')
            r = Reader(body)
            for _ in range(count):
                length, before = u32(r.raw(4), 0), r.raw(32)
                found.append((before, r.raw(length)))
            seal = struct.pack('>QQ', seq - u64(h, 16), at) + before
            check(count == 0 and body == seal if sealed else count and kind == 1 and size - r.at < 8, 'frame shape')
            at += 64 + size
        check(not any(b[at:]) and (sealed or behind == first + segments), 'end of segment %d' % number)
        number = behind
    check(0 < durable <= len(found) and found[durable - 1][0] == last, 'what was durable is there')
    return found, label

def kept(b, at, sizes, compacted):  # Of each block: bytes used so far, size, and runs of offset, size and place.
    spans, r = [], Reader(b, at + 4, at + 4 + u32(b, at)) if compacted else None
    at = r.end if compacted else at
    for size in sizes:
        runs, offset = [], 0
        for i in range(r.varint() if compacted else int(size > 0)):
            gap, length = (r.varint(), r.varint()) if compacted else (0, size)
            offset, at = offset + gap + length, at + length
            check(length > 0 and (gap > 0 or i == 0) and offset <= size, 'a kept run')
            runs.append((offset - length, length, at - length))
        spans.append([0, size, runs])
    check(not compacted or r.done() and any(sum(n for _, n, _ in runs) < size for _, size, runs in spans), 'table')
    return check(at == len(b), 'blocks and record differ in size') and spans
