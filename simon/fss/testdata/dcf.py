"""Makes vectors.json: python3 simon/fss/testdata/dcf.py > simon/fss/testdata/vectors.json

Distributed comparison functions once more, for vectors that bind the Go code. Written from Boyle, Chandran, Gilboa, Gupta,
Ishai, Kumar, Rathee, "Function Secret Sharing for Mixed-Mode and Fixed-Point Secure Computation" (EUROCRYPT 2021), Fig. 1,
with the generator of the package's documentation, RFC 5869 and FIPS 197. It is slow and not constant-time: for tests only.
Python 3.8 or later, no packages.
"""

import hashlib
import hmac
import json
import struct
import sys

# --- AES-128, FIPS 197 ---


def times(a, b):
    """Product in GF(2^8) mod x^8+x^4+x^3+x+1 (section 4.2)."""
    p = 0
    while b:
        if b & 1:
            p ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11B
        b >>= 1
    return p


def make_sbox():
    """Section 5.1.1: the inverse, then the affine map."""
    box = []
    for x in range(256):
        inverse = next((y for y in range(256) if times(x, y) == 1), 0)
        y = 0
        for shift in range(5):
            y ^= inverse << shift | inverse >> (8 - shift)
        box.append(y & 0xFF ^ 0x63)
    return box


SBOX = make_sbox()
TWICE = [times(x, 2) for x in range(256)]


def expand_key(key):
    """The eleven round keys (section 5.2)."""
    words = [list(key[4 * i : 4 * i + 4]) for i in range(4)]
    rcon = 1
    for i in range(4, 44):
        w = words[i - 1]
        if i % 4 == 0:
            w = [SBOX[x] for x in w[1:] + w[:1]]
            w[0] ^= rcon
            rcon = times(rcon, 2)
        words.append([a ^ b for a, b in zip(words[i - 4], w)])
    return [sum(words[4 * r : 4 * r + 4], []) for r in range(11)]


def encrypt(round_keys, block):
    """The cipher (section 5.1) on 16 bytes, which are the columns of the state."""
    s = [a ^ b for a, b in zip(block, round_keys[0])]
    for r in range(1, 11):
        s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]  # SubBytes, ShiftRows
        if r < 10:  # MixColumns
            mixed = []
            for c in range(0, 16, 4):
                column = s[c : c + 4]
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                for i in range(4):
                    mixed.append(column[i] ^ every ^ TWICE[column[i] ^ column[(i + 1) % 4]])
            s = mixed
        s = [a ^ b for a, b in zip(s, round_keys[r])]
    return bytes(s)


def check_aes():
    """FIPS 197, appendix C.1."""
    key = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
    plain = bytes.fromhex("00112233445566778899aabbccddeeff")
    got = encrypt(expand_key(key), plain).hex()
    if got != "69c4e0d86a7b0430d8cdb78070b4c55a":
        sys.exit("AES is wrong: " + got)


# --- HKDF with SHA-256, RFC 5869 ---


def hkdf(salt, ikm, info, length):
    prk = hmac.new(salt, ikm, hashlib.sha256).digest()
    out, block, i = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + block, i + 1
    return out[:length]


# --- The generator ---

MOD = 1 << 64
LEFT, RIGHT = 0, 1


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def numbers(data):
    """The group element of 8 or 16 bytes, a list of one or two integers mod 2^64."""
    return list(struct.unpack("<%dQ" % (len(data) // 8), data))


class Generator:
    def __init__(self, sid, label, level, pair):
        info = struct.pack(">I", len(label)) + label + struct.pack(">I", level) + b"K"
        raw = hkdf(b"weft/v1/fss", sid, info, 80)
        self.pair = pair
        self.keys = [expand_key(raw[16 * i : 16 * i + 16]) for i in range(5)]

    def one_way(self, i, s):
        """AES under K_i, i from 1 to 5, of s, plus s (Matyas, Meyer, Oseas)."""
        return xor(encrypt(self.keys[i - 1], s), s)

    def __call__(self, s):
        """Both children of the seed s: each a seed, a number and a control bit."""
        children = []
        both = None if self.pair else self.one_way(3, s)
        for side in (LEFT, RIGHT):
            seed = self.one_way(1 + side, s)
            t = seed[0] & 1
            seed = bytes([seed[0] & 0xFE]) + seed[1:]
            v = self.one_way(3 + side, s) if self.pair else both[8 * side : 8 * side + 8]
            children.append((seed, numbers(v), t))
        return children

    def convert(self, s):
        return numbers(self.one_way(5, s) if self.pair else s[8:16])


# --- Fig. 1 ---


def bits_of(x, n):
    return [x >> (n - 1 - i) & 1 for i in range(n)]


def gen(G, n, alpha, beta, roots):
    words = range(len(beta))
    s = list(roots)
    t = [0, 1]
    v_alpha = [0 for _ in words]
    corrections = []
    for a in bits_of(alpha, n):
        child = [G(s[0]), G(s[1])]
        keep, lose = (RIGHT, LEFT) if a else (LEFT, RIGHT)
        sign = -1 if t[1] else 1
        s_cw = xor(child[0][lose][0], child[1][lose][0])
        v_cw = []
        for w in words:
            v = child[1][lose][1][w] - child[0][lose][1][w] - v_alpha[w]
            if lose == LEFT:
                v += beta[w]
            v_cw.append(sign * v % MOD)
            v_alpha[w] += child[0][keep][1][w] - child[1][keep][1][w] + sign * v_cw[w]
        t_cw = [child[0][LEFT][2] ^ child[1][LEFT][2] ^ a ^ 1, child[0][RIGHT][2] ^ child[1][RIGHT][2] ^ a]
        corrections.append((s_cw, v_cw, t_cw))
        for b in (0, 1):
            seed, _, control = child[b][keep]
            if t[b]:
                seed = xor(seed, s_cw)
                control ^= t_cw[keep]
            s[b], t[b] = seed, control
    ends = [G.convert(s[0]), G.convert(s[1])]
    sign = -1 if t[1] else 1
    last = [sign * (ends[1][w] - ends[0][w] - v_alpha[w]) % MOD for w in words]
    return [(root, corrections, last) for root in roots]


def evaluate(G, n, party, key, x):
    s, corrections, last = key
    words = range(len(last))
    t = party
    total = [0 for _ in words]
    for bit, (s_cw, v_cw, t_cw) in zip(bits_of(x, n), corrections):
        s, v, control = G(s)[bit]
        for w in words:
            total[w] += v[w] + (v_cw[w] if t else 0)
        if t:
            s = xor(s, s_cw)
            control ^= t_cw[bit]
        t = control
    end = G.convert(s)
    for w in words:
        total[w] += end[w] + (last[w] if t else 0)
    return [(-v if party else v) % MOD for v in total]


def encode(key):
    """The bytes of a key, as the package's documentation has them."""
    root, corrections, last = key
    out = root
    for s_cw, v_cw, t_cw in corrections:
        out += s_cw + struct.pack("<%dQ" % len(v_cw), *v_cw) + bytes([t_cw[LEFT] | t_cw[RIGHT] << 1])
    return out + struct.pack("<%dQ" % len(last), *last)


# --- Vectors ---


def fixed(name, length):
    """Bytes that look random."""
    return hashlib.shake_128(b"dcf.py " + name.encode()).digest(length)


def lp(data):
    return struct.pack(">I", len(data)) + data


def step(calls, round, vector):
    """The name of a step: its call path, round and vector."""
    path = b"".join(lp(name.encode()) + struct.pack(">I", counter) for name, counter in calls)
    return lp(path) + struct.pack(">I", round) + lp(vector.encode())


def vector(bits, alpha, beta, xs):
    name = "%d %d %s" % (bits, alpha, beta)
    sid = fixed("sid " + name, 32)
    level = int.from_bytes(fixed("level " + name, 4), "big") if bits > 8 else bits
    calls = [] if bits < 8 else [("sum", 0), ("gate", bits)]
    label = b"" if bits == 1 else step(calls, level, "thresholds")
    rand = fixed("rand " + name, 32)
    G = Generator(sid, label, level, len(beta) == 2)
    keys = gen(G, bits, alpha, beta, [rand[:16], rand[16:]])
    points = []
    for x in xs:
        shares = [evaluate(G, bits, party, keys[party], x) for party in (0, 1)]
        want = beta if x < alpha else [0 for _ in beta]
        if [(a + b) % MOD for a, b in zip(*shares)] != [b % MOD for b in want]:
            sys.exit("%s: wrong at %d" % (name, x))
        points.append({"x": str(x), "share0": [str(v) for v in shares[0]], "share1": [str(v) for v in shares[1]]})
    return {
        "sid": sid.hex(),
        "label": label.hex(),
        "level": level,
        "bits": bits,
        "alpha": str(alpha),
        "beta": [str(b % MOD) for b in beta],
        "rand": rand.hex(),
        "key0": encode(keys[0]).hex(),
        "key1": encode(keys[1]).hex(),
        "points": points,
    }


def main():
    check_aes()
    top = (1 << 39) - 1
    a39 = 0x5A5A5A5A5A & top
    a63 = 0x3C3C3C3C3C3C3C3C
    vectors = [
        vector(1, 0, [1], [0, 1]),
        vector(1, 1, [-1], [0, 1]),
        vector(2, 2, [1, 2], [0, 1, 2, 3]),
        vector(3, 5, [1 << 63], range(8)),
        vector(8, 0, [0], [0, 255]),
        vector(8, 255, [-1, 1], [0, 254, 255]),
        vector(39, a39, [1], [0, a39 - 1, a39, top]),
        vector(39, top, [-1], [top - 1, top]),
        vector(63, a63, [0x0123456789ABCDEF], [a63 - 1, a63]),
        vector(63, a63, [-1, 0xFEDCBA9876543210], [0, a63 - 1, a63, (1 << 63) - 1]),
    ]
    json.dump(vectors, sys.stdout, indent=1)
    print()


main()
