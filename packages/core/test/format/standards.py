"""What Python's standard library lacks: integers and LEB128 (docs/FORMAT.md, section 1), Crockford's base32, the trees
of RFC 9162, CBOR of RFC 8949 as section 11 narrows it, Ed25519 of RFC 8032 by the rule of decision 0009."""
import base64, hashlib, struct

def check(ok, what):
    if not ok: raise ValueError(what)
    return ok

H = lambda *parts: hashlib.sha256(b''.join(parts)).digest()
u32 = lambda b, at: struct.unpack_from('>I', b, at)[0]
u64 = lambda b, at: check(b[at] == 0 and b[at + 1] < 32, 'a u64 below 2^53') and struct.unpack_from('>Q', b, at)[0]
digit = lambda n: '0123456789abcdefghjkmnpqrstvwxyz'[n & 31]
base32 = lambda h: ''.join(digit(int.from_bytes(h, 'big') << 4 >> 5 * i) for i in reversed(range(52)))
unbase = lambda text: base64.b64decode(text, validate=True)
hashes = lambda texts: [unbase(text) for text in texts]
left = lambda n: 1 << (n - 1).bit_length() - 1  # Leaves on the left side of a tree of n.

class Reader:
    def __init__(self, b, at=0, end=None): self.b, self.at, self.end = b, at, len(b) if end is None else end
    def done(self, more=0): return check(self.at + more == self.end, 'bytes left over or missing')
    def raw(self, n):
        self.at += check(n <= self.end - self.at, 'bytes end too early') and n
        return self.b[self.at - n:self.at]
    def varint(self, most=2**53 - 1):
        read = self.raw(1)
        while read[-1] > 127: read += self.raw(1)
        value = sum((byte & 127) << 7 * i for i, byte in enumerate(read))
        check((read[-1] or len(read) == 1) and value <= most, 'a varint, or its limit')
        return value
    def sized(self, most): return self.raw(self.varint(most))

def tree(leaves):
    if len(leaves) < 2: return H(*[b'\0' + leaf for leaf in leaves])
    return H(b'\1', tree(leaves[:left(len(leaves))]), tree(leaves[left(len(leaves)):]))

def climb(node, index, size, path):  # The root that the path of a leaf hash leads to.
    check(0 <= index < size and bool(path) == (size > 1), 'place or length of a path')
    if size == 1: return node
    if index < left(size): return H(b'\1', climb(node, index, left(size), path[:-1]), path[-1])
    return H(b'\1', path[-1], climb(node, index - left(size), size - left(size), path[:-1]))

def grow(old, m, n, path, known=True):  # The roots of m and of n leaves that a consistency path leads to.
    check(0 < m <= n and len(path) >= (m < n) + (not known), 'sizes or length of a path')
    if m == n: return check(len(path) == (not known), 'length of a path') and [old if known else path[0]] * 2
    if m > left(n): return [H(b'\1', path[-1], root) for root in grow(old, m - left(n), n - left(n), path[:-1], False)]
    first, whole = grow(old, m, left(n), path[:-1], known)
    return [first, H(b'\1', whole, path[-1])]

def canonical(b):  # One CBOR item that fills b. Bigints and integers are both int, a date is its number.
    value, end = item(b, 0, 0)
    return check(end == len(b), 'bytes behind CBOR') and value

def item(b, at, depth):  # The item at this place, and where it ends.
    first, at = check(depth <= 32 and at < len(b), 'CBOR that nests or ends') and b[at], at + 1
    major, n = first >> 5, first & 31
    if first == 0xfb: return struct.unpack_from('>d', b, at)[0], at + 8
    if major == 7: return {0xf4: False, 0xf5: True, 0xf6: None}[first], at
    if n > 23:
        least, size = {24: (24, 1), 25: (256, 2), 26: (65536, 4), 27: (2**32, 8)}[n]
        n, at = int.from_bytes(b[at:at + size], 'big'), at + size
        check(least <= n < 2**53, 'the shortest form')
    if major < 2: return -1 - n if major else n, at
    if major < 4:
        content, at = check(at + n <= len(b), 'a string that ends') and b[at:at + n], at + n
        return content if major == 2 else content.decode('utf-8'), at
    if major == 6:
        content, end = check(n in (1, 2, 3), 'a tag that is accepted') and item(b, at, depth)
        if n == 1: return content, end
        check(isinstance(content, bytes) and len(content) <= 16 and content[:1] != b'\0', 'a bigint')
        return (5 - 2 * n) * int.from_bytes(content, 'big') - (n == 3), end
    items, found, last = [], {}, b''
    for _ in range(n):
        start, (value, at) = at, item(b, at, depth + (major == 4))
        if major == 5:
            key, last = check(isinstance(value, str) and b[start:at] > last, 'keys ascend') and value, b[start:at]
            found[key], at = item(b, at, depth + 1)
        else: items.append(value)
    return items if major == 4 else found, at

P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
number = lambda b: int.from_bytes(b, 'little')

def add(a, b):  # RFC 8032, 5.1.4: a point is X, Y, Z, T with x = X/Z, y = Y/Z, x*y = T/Z.
    low, high = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = high - low, d - c, d + c, high + low
    return e * f % P, g * h % P, f * g % P, e * h % P

def times(n, a):
    return add(times(n >> 1, add(a, a)), a if n & 1 else (0, 1, 1, 0)) if n else (0, 1, 1, 0)

def affine(a): return a[0] * pow(a[2], -1, P) % P, a[1] * pow(a[2], -1, P) % P

def point(b):
    y, sign = number(b) % 2**255, number(b) >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square: x = x * pow(2, (P - 1) // 4, P) % P
    check(y < P and x * x % P == square and (x or not sign), 'a point')
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P

BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, 'little'))

def signed(key, message, signature):  # Ed25519.
    a, s = point(key), number(signature[32:])
    k = number(hashlib.sha512(signature[:32] + key + message).digest()) % L
    x, y = affine(add(times(s, BASE), times(L - k, a)))
    prime = affine(times(L, a)) == (0, 1) != affine(a)
    return prime and len(signature) == 64 and s < L and 1 != number(signature[:32]) == y | (x & 1) << 255
