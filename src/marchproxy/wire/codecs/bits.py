"""Bits, most significant first: what the headers of video codecs are written in."""

from marchproxy.wire.fault import ProtocolFault

_LONGEST_GOLOMB = 32


class Bits:
    """Reads numbers from the front of some bytes. Reading beyond their end raises ProtocolFault."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """The next so many bits as a number."""
        self._left -= count
        if self._left < 0:
            raise ProtocolFault("a codec's header is cut short")
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned Exp-Golomb number, ue(v) of H.264 and HEVC."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _LONGEST_GOLOMB:
                raise ProtocolFault("a codec's header has a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """A signed Exp-Golomb number, se(v)."""
        number = self.golomb()
        return (number + 1) // 2 if number & 1 else -(number // 2)


def unescape(nal: bytes) -> bytes:
    """A NAL unit without the bytes that keep start codes out of it (emulation prevention)."""
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")
