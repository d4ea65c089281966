"""Login: how we prove to a server who we are."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from marchproxy.modules.dblb.mysql.greeting import OAEP
from marchproxy.modules.dblb.mysql.inbox import Inbox
from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.endings import Refusal, read_error
from marchproxy.wire.mysql.handshake import Greeting, Login, read_auth_switch, read_greeting, ssl_request
from marchproxy.wire.mysql.numbers import Capability
from marchproxy.wire.mysql.packets import packet
from marchproxy.wire.mysql.proofs import CACHING, NATIVE, caching_proof, masked, native_proof

_OK, _MORE, _SWITCH, _ERR = 0x00, 0x01, 0xFE, 0xFF
_FAST, _FULL = b"\x03", b"\x04"


class LoginRefused(Exception):
    """A server does not let us in; `refusal` are its own words, where it had any."""

    def __init__(self, words: str, refusal: Refusal | None = None) -> None:
        super().__init__(words)
        self.refusal = refusal


class Lacking(LoginRefused):
    """A server can do less than clients were promised."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to a server, and what a session begins with."""

    user: str
    database: str
    charset: int
    capabilities: int
    password: str = field(default="", repr=False)


@dataclass
class Line:
    """A connection to a server; `encrypt` begins TLS, and is None where there is to be none."""

    inbox: Inbox
    send: Callable[[bytes], object]
    encrypt: Callable[[], Awaitable[None]] | None = None
    encrypted: bool = False


async def read_first(inbox: Inbox) -> Greeting:
    """A server's greeting. Raises LoginRefused, ProtocolFault, PeerGone."""
    _, payload = await inbox.next()
    if payload[:1] == b"\xff":
        raise _refused(payload)
    return read_greeting(payload)


async def log_in(line: Line, credentials: Credentials) -> Greeting:
    """Open a session. Raises LoginRefused (Lacking), ProtocolFault, PeerGone, OSError. The caller sets the deadline."""
    greeting = await read_first(line.inbox)
    lacking = credentials.capabilities & ~greeting.capabilities & ~Capability.LONG_PASSWORD
    if lacking:
        raise Lacking(f"the server lacks {Capability(lacking)!r}, which was promised to the client")
    sequence, capabilities = 1, credentials.capabilities
    if line.encrypt is not None:
        if not greeting.capabilities & Capability.SSL:
            raise LoginRefused("the server does not speak TLS")
        line.send(packet(sequence, ssl_request(capabilities, credentials.charset)))
        await line.encrypt()
        line.encrypted, sequence, capabilities = True, 2, capabilities | Capability.SSL
    plugin = greeting.plugin if greeting.plugin in {NATIVE, CACHING} else NATIVE
    login = _login(credentials, capabilities, plugin, greeting.nonce)
    line.send(packet(sequence, login.encode()))
    await _prove(line, credentials, plugin, greeting.nonce)
    return greeting


async def change_user(line: Line, credentials: Credentials, greeting: Greeting) -> None:
    """Make a session as new. Raises LoginRefused, ProtocolFault, PeerGone. The caller sets the deadline."""
    plugin = greeting.plugin if greeting.plugin in {NATIVE, CACHING} else NATIVE
    login = _login(credentials, credentials.capabilities, plugin, greeting.nonce)
    line.send(packet(0, login.change_user()))
    await _prove(line, credentials, plugin, greeting.nonce)


def _login(credentials: Credentials, capabilities: int, plugin: str, nonce: bytes) -> Login:
    proof = _proof(credentials, plugin, nonce)
    return Login(capabilities, credentials.user, proof, credentials.database, plugin, credentials.charset)


def _proof(credentials: Credentials, plugin: str, nonce: bytes) -> bytes:
    prove = caching_proof if plugin == CACHING else native_proof
    return prove(credentials.password.encode(), nonce)


async def _prove(line: Line, credentials: Credentials, plugin: str, nonce: bytes) -> None:
    while True:
        sequence, payload = await line.inbox.next()
        match payload[0] if payload else -1:
            case 0x00:
                return
            case 0xFF:
                raise _refused(payload)
            case 0xFE:
                plugin, nonce = read_auth_switch(payload)
                if plugin not in {NATIVE, CACHING}:
                    raise LoginRefused(f"the server asks for {plugin}, which is not spoken here")
                line.send(packet(sequence + 1, _proof(credentials, plugin, nonce)))
            case 0x01 if plugin == CACHING and payload[1:] == _FAST:
                continue
            case 0x01 if plugin == CACHING and payload[1:] == _FULL:
                await _full(line, credentials, nonce, sequence)
            case _:
                raise ProtocolFault("the server's words while logging in make no sense")


async def _full(line: Line, credentials: Credentials, nonce: bytes, sequence: int) -> None:
    password = credentials.password.encode() + b"\0"
    if not line.encrypted:
        line.send(packet(sequence + 1, b"\x02"))
        sequence, payload = await line.inbox.next()
        password = _encrypted(masked(password, nonce), payload)
    line.send(packet(sequence + 1, password))


def _encrypted(words: bytes, payload: bytes) -> bytes:
    if payload[:1] != b"\x01":
        raise _refused(payload) if payload[:1] == b"\xff" else ProtocolFault("no key came")
    try:
        key = serialization.load_pem_public_key(payload[1:])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProtocolFault("the server's key is none") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ProtocolFault("the server's key is not one of RSA")
    return key.encrypt(words, OAEP)


def _refused(payload: bytes) -> LoginRefused:
    refusal = read_error(payload)
    return LoginRefused(f"{refusal.code} {refusal.message}", refusal)
