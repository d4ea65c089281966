"""Hashing: xxHash64, by which Envoy chooses sessions' hosts.

https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_STRIPE = 32


def xxh64(data: bytes, seed: int = 0) -> int:
    """The 64-bit hash."""
    end = len(data) - len(data) % _STRIPE
    value = _stripes(data[:end], seed) if end else (seed + _P5) & _MASK
    value = (value + len(data)) & _MASK
    return _avalanche(_rest(data[end:], value))


def _stripes(data: bytes, seed: int) -> int:
    lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed & _MASK, (seed - _P1) & _MASK]
    for start in range(0, len(data), 8):
        lane = start // 8 % 4
        lanes[lane] = _round(lanes[lane], int.from_bytes(data[start : start + 8], "little"))
    value = sum(_rotated(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
    for lane in lanes:
        value = ((value ^ _round(0, lane)) * _P1 + _P4) & _MASK
    return value


def _rest(data: bytes, value: int) -> int:
    """Fewer than 32 bytes: by eight, by four, one by one."""
    place = 0
    while place + 8 <= len(data):
        value ^= _round(0, int.from_bytes(data[place : place + 8], "little"))
        value = (_rotated(value, 27) * _P1 + _P4) & _MASK
        place += 8
    if place + 4 <= len(data):
        value ^= (int.from_bytes(data[place : place + 4], "little") * _P1) & _MASK
        value = (_rotated(value, 23) * _P2 + _P3) & _MASK
        place += 4
    for byte in data[place:]:
        value ^= (byte * _P5) & _MASK
        value = (_rotated(value, 11) * _P1) & _MASK
    return value


def _avalanche(value: int) -> int:
    value = ((value ^ (value >> 33)) * _P2) & _MASK
    value = ((value ^ (value >> 29)) * _P3) & _MASK
    return value ^ (value >> 32)


def _round(lane: int, word: int) -> int:
    return (_rotated((lane + word * _P2) & _MASK, 31) * _P1) & _MASK


def _rotated(value: int, turn: int) -> int:
    return ((value << turn) | (value >> (64 - turn))) & _MASK
