"""Hashes of strings that are the same everywhere: FarmHash (as TensorFlow has it) and SipHash, in 64 bits."""

_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_MASK = 2**64 - 1


def _rotated_right(x: int, count: int) -> int:
    return x >> count | (x << (64 - count)) & _MASK


def _rotated_left(x: int, count: int) -> int:
    return (x << count) & _MASK | x >> (64 - count)


def _mixed(x: int) -> int:
    return x ^ x >> 47


def _joined(u: int, v: int, multiplier: int) -> int:
    a = _mixed((u ^ v) * multiplier & _MASK)
    return _mixed((v ^ a) * multiplier & _MASK) * multiplier & _MASK


def farmhash64(text: bytes) -> int:
    """FarmHash's Fingerprint64 (Pike and Alakuijala 2014, "farmhashna")."""
    length = len(text)

    def at(place, size=8):
        place += length if place < 0 else 0
        return int.from_bytes(text[place : place + size], "little")

    if length > 64:
        return _farmhash_of_long(length, at)
    multiplier = (_K2 + 2 * length) & _MASK
    if length > 32:
        a, b, c, d = at(0) * _K2 & _MASK, at(8), at(-8) * multiplier & _MASK, at(-16) * _K2 & _MASK
        y = (_rotated_right((a + b) & _MASK, 43) + _rotated_right(c, 30) + d) & _MASK
        z = _joined(y, (a + _rotated_right((b + _K2) & _MASK, 18) + c) & _MASK, multiplier)
        e, f = at(16) * multiplier & _MASK, at(24)
        g, h = (y + at(-32)) * multiplier & _MASK, (z + at(-24)) * multiplier & _MASK
        left = (_rotated_right((e + f) & _MASK, 43) + _rotated_right(g, 30) + h) & _MASK
        return _joined(left, (e + _rotated_right((f + a) & _MASK, 18) + g) & _MASK, multiplier)
    if length > 16:
        a, b, c, d = at(0) * _K1 & _MASK, at(8), at(-8) * multiplier & _MASK, at(-16) * _K2 & _MASK
        left = (_rotated_right((a + b) & _MASK, 43) + _rotated_right(c, 30) + d) & _MASK
        return _joined(left, (a + _rotated_right((b + _K2) & _MASK, 18) + c) & _MASK, multiplier)
    if length >= 8:
        a, b = (at(0) + _K2) & _MASK, at(-8)
        c = (_rotated_right(b, 37) * multiplier + a) & _MASK
        return _joined(c, (_rotated_right(a, 25) + b) * multiplier & _MASK, multiplier)
    if length >= 4:
        return _joined((length + (at(0, 4) << 3)) & _MASK, at(-4, 4), multiplier)
    if length:
        y = text[0] + (text[length >> 1] << 8)
        z = length + (text[length - 1] << 2)
        return _mixed((y * _K2 & _MASK) ^ (z * _K0 & _MASK)) * _K2 & _MASK
    return _K2


def _farmhash_of_long(length: int, at) -> int:
    def weak(place, a, b):
        w, x, y, z = (at(place + 8 * i) for i in range(4))
        a = (a + w) & _MASK
        b = _rotated_right((b + a + z) & _MASK, 21)
        c = a
        a = (a + x + y) & _MASK
        b = (b + _rotated_right(a, 44)) & _MASK
        return (a + z) & _MASK, (b + c) & _MASK

    x, y = 81, (81 * _K1 + 113) & _MASK
    z = _mixed((y * _K2 + 113) & _MASK) * _K2 & _MASK
    v, w = (0, 0), (0, 0)
    x = (x * _K2 + at(0)) & _MASK

    def turn(place, multiplier, nine):
        nonlocal x, y, z, v, w
        x = _rotated_right((x + y + v[0] + at(place + 8)) & _MASK, 37) * multiplier & _MASK
        y = _rotated_right((y + v[1] + at(place + 48)) & _MASK, 42) * multiplier & _MASK
        x ^= w[1] * nine & _MASK
        y = (y + v[0] * nine + at(place + 40)) & _MASK
        z = _rotated_right((z + w[0]) & _MASK, 33) * multiplier & _MASK
        v = weak(place, v[1] * multiplier & _MASK, (x + w[0]) & _MASK)
        w = weak(place + 32, (z + w[1]) & _MASK, (y + at(place + 16)) & _MASK)
        x, z = z, x

    for place in range(0, (length - 1) // 64 * 64, 64):
        turn(place, _K1, 1)
    multiplier = (_K1 + ((z & 0xFF) << 1)) & _MASK
    first = (w[0] + ((length - 1) & 63)) & _MASK
    v = ((v[0] + first) & _MASK, v[1])
    w = ((first + v[0]) & _MASK, w[1])
    turn(length - 64, multiplier, 9)
    left = (_joined(v[0], w[0], multiplier) + _mixed(y) * _K0 + z) & _MASK
    return _joined(left, (_joined(v[1], w[1], multiplier) + x) & _MASK, multiplier)


def siphash64(text: bytes, key: tuple[int, int]) -> int:
    """SipHash-2-4 (Aumasson and Bernstein 2012)."""
    k0, k1 = key
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(count):
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0 = (v0 + v1) & _MASK
            v1 = _rotated_left(v1, 13) ^ v0
            v0 = _rotated_left(v0, 32)
            v2 = (v2 + v3) & _MASK
            v3 = _rotated_left(v3, 16) ^ v2
            v0 = (v0 + v3) & _MASK
            v3 = _rotated_left(v3, 21) ^ v0
            v2 = (v2 + v1) & _MASK
            v1 = _rotated_left(v1, 17) ^ v2
            v2 = _rotated_left(v2, 32)

    whole = len(text) // 8 * 8
    words = [int.from_bytes(text[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(text[whole:], "little") | (len(text) & 0xFF) << 56)
    for word in words:
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return v0 ^ v1 ^ v2 ^ v3
