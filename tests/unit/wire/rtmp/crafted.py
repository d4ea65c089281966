"""Chunks as the specification has them, written in every way it allows, and read in the plainest."""

import random

from marchproxy.wire.rtmp.chunking import basic
from marchproxy.wire.rtmp.message import Message

LONG = 0xFFFFFF
MASK = 0xFFFFFFFF


def read_strictly(data, chunk_size=128):  # noqa: C901, PLR0912 - one loop, and nothing shared with what it judges
    """All messages of bytes that end between two chunks, and what is under way: the specification, word by word, no tolerance."""
    streams, found, at = {}, [], 0
    while at < len(data):
        fmt, csid, at = data[at] >> 6, data[at] & 63, at + 1
        if csid == 0:
            csid, at = data[at] + 64, at + 1
        elif csid == 1:
            csid, at = data[at] + data[at + 1] * 256 + 64, at + 2
        state = streams.setdefault(csid, {"body": None, "stream": 0, "time": 0})
        starts = state["body"] is None
        assert starts or fmt == 3, "a message begins in the middle of another"
        if fmt < 3:
            field, at = int.from_bytes(data[at : at + 3]), at + 3
            state["long"] = field == LONG
            if fmt < 2:
                state["length"], state["type"], at = int.from_bytes(data[at : at + 3]), data[at + 3], at + 4
            if fmt == 0:
                state["stream"], at = int.from_bytes(data[at : at + 4], "little"), at + 4
        else:
            field = state["delta"]
        if state["long"]:
            field, at = int.from_bytes(data[at : at + 4]), at + 4
        if starts:
            state["time"] = field if fmt == 0 else (state["time"] + field) & MASK
            state["delta"] = field
            state["body"] = b""
        else:
            assert field == state["delta"], "the time is not repeated"
        size = min(chunk_size, state["length"] - len(state["body"]))
        assert len(data) - at >= size, "the last chunk is cut off"
        state["body"] += data[at : at + size]
        at += size
        if len(state["body"]) == state["length"]:
            message = Message(state["type"], state["stream"], state["time"], state["body"], csid)
            state["body"] = None
            found.append(message)
            if message.type == 1:
                chunk_size = int.from_bytes(message.payload)
            elif message.type == 2 and int.from_bytes(message.payload) in streams:
                streams[int.from_bytes(message.payload)]["body"] = None
    return found, [csid for csid, state in streams.items() if state["body"] is not None]


class Lavish:
    """Writes chunks of messages in any of the ways that are right, by chance, those of several chunk streams by turns."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.size = 128
        self.last = {}  # by chunk stream: type, stream, length, time, delta, long
        self.under_way = {}

    def write(self, messages):
        """The messages, which are in the order of their ends: each chunk stream's in its own order, at least."""
        out, queues = bytearray(), {}
        for message in messages:
            queues.setdefault(message.csid, []).append(message)
        while queues:
            csid = self.chance.choice(sorted(queues))
            chunk, ended = self.chunk(queues[csid][0])
            out += chunk
            if ended:
                message = queues[csid].pop(0)
                if message.type == 1:
                    self.size = int.from_bytes(message.payload)
                if not queues[csid]:
                    del queues[csid]
        return bytes(out)

    def chunk(self, message):
        """The next chunk of a message, and whether it is the last."""
        csid = message.csid
        if csid in self.under_way:
            head, at = self.under_way[csid]
        else:
            head, at = self.head(message), 0
        body = message.payload[at : at + self.size]
        ended = at + len(body) == len(message.payload)
        if ended:
            self.under_way.pop(csid, None)
        else:
            _, _, _, _, delta, long = self.last[csid]
            self.under_way[csid] = (
                self.basic(3, csid) + (delta.to_bytes(4) if long else b""),
                at + len(body),
            )
        return head + body, ended

    def basic(self, fmt, csid):
        return basic(fmt, csid)

    def head(self, message):
        kind, stream, time, payload, csid = message
        last = self.last.get(csid)
        delta = (time - last[3]) & MASK if last else time
        allowed = [0]
        if last is None and stream == 0:
            allowed.append(1)
        if last and last[1] == stream:
            allowed.append(1)
            if last[0] == kind and last[2] == len(payload):
                allowed.append(2)
                if delta == last[4] and (delta >= LONG) == last[5]:
                    allowed += [3, 3]
        fmt = self.chance.choice(allowed)
        field = time if fmt == 0 else delta
        long = field >= LONG
        self.last[csid] = (kind, stream, len(payload), time, field, long)
        head = self.basic(fmt, csid)
        if fmt < 3:
            head += min(field, LONG).to_bytes(3)
        if fmt < 2:
            head += len(payload).to_bytes(3) + bytes((kind,))
        if fmt == 0:
            head += stream.to_bytes(4, "little")
        return head + (field.to_bytes(4) if long else b"")


CONFIG, KEY, INTER, SOUND, SOUND_CONFIG = (
    bytes.fromhex(data) for data in ("1700000000", "1701000000", "2701000000", "af01", "af00")
)


def some_messages(chance, count, *, begins=None):
    """A stream's messages in the order of their times, on a few chunk streams, with what else comes between."""
    time = chance.choice([0, 0, 40, 0xFFFFF0, 0x7FFFFFF0, 0xFFFFFF00]) if begins is None else begins
    video, sound, other = chance.choice([(6, 4, 3), (4, 4, 4), (70, 4, 3), (6, 500, 3), (8, 8, 3)])
    found = []
    for index in range(count):
        time = (time + chance.choice([0, 20, 20, 20, 40, 0x1000000 if chance.random() < 0.05 else 20])) & MASK
        what = chance.random()
        length = chance.choice([0, 1, 60, 60, 127, 128, 129, 300, 5000])
        body = index.to_bytes(4) + chance.randbytes(length)
        if what < 0.05:
            found.append(Message(1, 0, 0, chance.choice([128, 200, 4096]).to_bytes(4), 2))
        elif what < 0.1:
            found.append(
                Message(20, chance.choice([0, 1]), time, b"\x02\0\x04ping\0" + bytes(8) + b"\x05", other)
            )
        elif what < 0.15:
            found.append(Message(18, 1, time, b"\x02\0\x04data" + bytes(chance.choice([0, 200])), other))
        elif what < 0.2:
            found.append(Message(9, 1, time, CONFIG + body, video))
        elif what < 0.3:
            found.append(Message(9, 1, time, KEY + body, video))
        elif what < 0.65:
            found.append(Message(9, 1, time, INTER + body, video))
        else:
            found.append(Message(8, 1, time, SOUND + body, sound))
    return found


def pieces(chance, data):
    """The bytes in pieces of any sizes."""
    at = 0
    while at < len(data):
        size = chance.choice([1, 2, 5, 20, 128, 130, 1000, 10_000])
        yield data[at : at + size]
        at += size
