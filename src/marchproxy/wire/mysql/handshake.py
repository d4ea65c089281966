"""What opens a session: the server's greeting, the client's answer, and the talk about the way to prove a password."""

import struct
from dataclasses import dataclass, field

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.numbers import Capability, Status
from marchproxy.wire.mysql.packets import Reader, counted

NONCE = 20
_SSL_REQUEST = 32
_LARGEST_PACKET = 1 << 30
_LONGEST_PROGRAM = 200


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server says first. `nonce` has 20 bytes, none of them zero."""

    version: str
    thread: int
    nonce: bytes
    capabilities: int
    charset: int = 45
    status: int = Status.AUTOCOMMIT
    plugin: str = "mysql_native_password"

    def encode(self) -> bytes:
        """As a payload."""
        first, second = self.nonce[:8], self.nonce[8:]
        low, high = self.capabilities & 0xFFFF, self.capabilities >> 16
        return b"".join(
            [
                b"\x0a" + self.version.encode() + b"\0",
                struct.pack("<I", self.thread) + first + b"\0",
                struct.pack("<HBHHB10x", low, self.charset & 0xFF, self.status, high, NONCE + 1),
                second + b"\0" + self.plugin.encode() + b"\0",
            ]
        )


def read_greeting(payload: bytes) -> Greeting:
    """A server's greeting. Raises ProtocolFault, also for protocols older than that of MySQL 4.1."""
    reader = Reader(payload)
    if reader.number(1) != 10:
        raise ProtocolFault("the server does not greet in version 10 of the protocol")
    version = reader.until_zero().decode(errors="replace")
    thread, nonce = reader.number(4), reader.take(8)
    reader.take(1)
    capabilities = reader.number(2)
    charset, status = reader.number(1), reader.number(2)
    capabilities |= reader.number(2) << 16
    length = reader.number(1)
    reader.take(10)
    if not capabilities & Capability.PROTOCOL_41 or not capabilities & Capability.PLUGIN_AUTH:
        raise ProtocolFault("the server speaks the protocol of a version before MySQL 5.5")
    nonce += reader.take(max(13, length - 8))[:12]
    plugin = reader.rest().split(b"\0")[0].decode(errors="replace")
    return Greeting(version, thread, nonce, capabilities, charset, status, plugin)


@dataclass(frozen=True, slots=True)
class Login:
    """What a client answers: who it is, and the first proof. `charset` is the number of a collation."""

    capabilities: int
    user: str
    proof: bytes = field(default=b"", repr=False)
    database: str = ""
    plugin: str = ""
    charset: int = 45
    program: str = ""
    """What the client calls itself (its attribute program_name)."""

    def encode(self) -> bytes:
        """As a payload."""
        named = Capability.CONNECT_WITH_DB if self.database else 0
        capabilities = (self.capabilities & ~Capability.CONNECT_WITH_DB & ~Capability.CONNECT_ATTRS) | named
        words = [
            _opening(capabilities, self.charset),
            self.user.encode() + b"\0",
            counted(self.proof) if capabilities & Capability.PLUGIN_AUTH_LENENC else _short(self.proof),
        ]
        if self.database:
            words.append(self.database.encode() + b"\0")
        return b"".join([*words, self.plugin.encode() + b"\0"])

    def change_user(self) -> bytes:
        """As a COM_CHANGE_USER."""
        charset = struct.pack("<H", self.charset)
        names = self.user.encode() + b"\0" + _short(self.proof) + self.database.encode() + b"\0"
        return b"\x11" + names + charset + self.plugin.encode() + b"\0"


def ssl_request(capabilities: int, charset: int) -> bytes:
    """The payload after which TLS begins."""
    return _opening(capabilities | Capability.SSL, charset)


def wants_tls(payload: bytes) -> bool:
    """Whether a client's first payload is nothing but a request for TLS."""
    return len(payload) == _SSL_REQUEST and bool(payload[1] << 8 & Capability.SSL)


def read_login(payload: bytes) -> Login:
    """A client's answer. Raises ProtocolFault."""
    reader = Reader(payload)
    capabilities = reader.number(4)
    if not capabilities & Capability.PROTOCOL_41 or not capabilities & Capability.SECURE_CONNECTION:
        raise ProtocolFault("the client speaks the protocol of a version before MySQL 4.1")
    reader.take(4)
    charset = reader.number(1)
    reader.take(23)
    user = _name(reader.until_zero())
    proof = reader.text() if capabilities & Capability.PLUGIN_AUTH_LENENC else reader.take(reader.number(1))
    database = plugin = ""
    if capabilities & Capability.CONNECT_WITH_DB and reader.left:
        database = _name(reader.until_zero())
    if capabilities & Capability.PLUGIN_AUTH and reader.left:
        plugin = _name(reader.until_zero())
    program = _program(reader) if capabilities & Capability.CONNECT_ATTRS and reader.left else ""
    return Login(capabilities, user, proof, database, plugin, charset, program)


def read_change_user(payload: bytes, capabilities: int) -> Login:
    """A COM_CHANGE_USER of a client with these capabilities. Raises ProtocolFault."""
    reader = Reader(payload, 1)
    user = _name(reader.until_zero())
    proof = reader.take(reader.number(1))
    database = _name(reader.until_zero())
    charset = reader.number(2) if reader.left else 45
    plugin = ""
    if capabilities & Capability.PLUGIN_AUTH and reader.left:
        plugin = _name(reader.until_zero())
    program = _program(reader) if capabilities & Capability.CONNECT_ATTRS and reader.left else ""
    return Login(capabilities, user, proof, database, plugin, charset, program)


def auth_switch(plugin: str, nonce: bytes) -> bytes:
    """An AuthSwitchRequest."""
    return b"\xfe" + plugin.encode() + b"\0" + nonce + b"\0"


def read_auth_switch(payload: bytes) -> tuple[str, bytes]:
    """Plugin and nonce of an AuthSwitchRequest. Raises ProtocolFault."""
    reader = Reader(payload, 1)
    if not reader.left:
        raise ProtocolFault("the server asks for the passwords of versions before MySQL 4.1")
    return _name(reader.until_zero()), reader.rest()[:NONCE]


def _opening(capabilities: int, charset: int) -> bytes:
    return struct.pack("<IIB23x", capabilities, _LARGEST_PACKET, charset & 0xFF)


def _short(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def _program(reader: Reader) -> str:
    """Of the attributes of a client, its name; what else it says of itself is not kept."""
    attributes = Reader(reader.text())
    while attributes.left:
        name, value = attributes.text(), attributes.text()
        if name == b"program_name":
            return value[:_LONGEST_PROGRAM].decode(errors="replace")
    return ""


def _name(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ProtocolFault("a name is not UTF-8") from error
