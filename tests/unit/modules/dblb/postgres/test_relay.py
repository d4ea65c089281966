"""Requests and answers between clients and servers that they share: who is told what, under which names."""

import pytest

from marchproxy.modules.dblb.postgres.answers import INTERESTS as ANSWERS
from marchproxy.modules.dblb.postgres.answers import Heard, due, hear, is_whole
from marchproxy.modules.dblb.postgres.requests import INTERESTS as REQUESTS
from marchproxy.modules.dblb.postgres.requests import Requests, ServerState
from marchproxy.modules.dblb.postgres.statements import Catalogue, Prepared
from marchproxy.wire.postgres import encode
from marchproxy.wire.postgres.flow import Owed
from marchproxy.wire.postgres.framing import Framer

IDLE, IN_TRANSACTION = ord("I"), ord("T")
ONE, TWO = b"select 1\0\0\0", b"select 2\0\0\0"
EXECUTE = encode.message(b"E", b"\0\0\0\0\0")
BOUND, PARSED, CLOSED, NO_ROWS = (kind + b"\0\0\0\4" for kind in (b"2", b"1", b"3", b"n"))
READY = encode.ready(IDLE)


def done(tag: bytes = b"SELECT 1") -> bytes:
    return encode.message(b"C", tag + b"\0")


def bind(name: bytes) -> bytes:
    return encode.message(b"B", b"\0" + name + b"\0\0\0\0\0\0\0")


def describe(name: bytes) -> bytes:
    return encode.message(b"D", b"S" + name + b"\0")


class Client:
    def __init__(self, catalogue: Catalogue) -> None:
        self.framer = Framer(REQUESTS, longest=1 << 20)
        self.requests = Requests(catalogue)

    def ask(self, server: "Server", *messages: bytes) -> bytes:
        """What the server is sent."""
        data, events = self.framer.feed(b"".join(messages))
        sent = self.requests.forward(data, events, server.state)
        self.requests.refused(server.state)
        self.told = due(server.state)
        return sent


class Server:
    def __init__(self, most_bytes: int = 1 << 20) -> None:
        self.framer = Framer(ANSWERS, longest=1 << 20)
        self.state = ServerState(Prepared(most_bytes=most_bytes))
        self.parameters: dict[str, str] = {}

    def answer(self, client: Client, *messages: bytes) -> Heard:
        data, events = self.framer.feed(b"".join(messages))
        heard = hear(data, events, self.state, self.parameters)
        client.requests.refused(self.state)
        return heard


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(most_bytes=1 << 20)


@pytest.fixture
def client(catalogue: Catalogue) -> Client:
    return Client(catalogue)


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_simple_query_passes_untouched(client, server):
    query = encode.query("select 1")
    assert client.ask(server, query) is query
    answer = done() + READY
    heard = server.answer(client, answer)
    assert (heard.for_client, heard.free, heard.transactions) == (answer, True, 1)


def test_a_statement_follows_its_client_to_another_server(client, server):
    assert client.ask(server, encode.parse(b"s", ONE), encode.SYNC) == encode.parse(b"mp1", ONE) + encode.SYNC
    assert server.answer(client, PARSED, READY).for_client == PARSED + READY
    other = Server()
    sent = client.ask(other, bind(b"s"), EXECUTE, encode.SYNC)
    assert sent == encode.parse(b"mp1", ONE) + bind(b"mp1") + EXECUTE + encode.SYNC
    heard = other.answer(client, PARSED, BOUND, done(), READY)
    assert heard.for_client == BOUND + done() + READY  # nobody asked for the first
    assert client.ask(other, bind(b"s"), EXECUTE, encode.SYNC) == bind(b"mp1") + EXECUTE + encode.SYNC


def test_two_clients_share_one_text(client, server, catalogue):
    client.ask(server, encode.parse(b"s", ONE), encode.SYNC)
    server.answer(client, PARSED, READY)
    neighbour = Client(catalogue)
    assert neighbour.ask(server, encode.parse(b"mine", ONE), describe(b"mine"), encode.SYNC) == (
        describe(b"mp1") + encode.SYNC
    )
    assert neighbour.told == PARSED
    heard = server.answer(neighbour, b"t\0\0\0\6\0\0", NO_ROWS, READY)
    assert heard.for_client == b"t\0\0\0\6\0\0" + NO_ROWS + READY
    assert len(catalogue) == 1


def test_a_given_answer_waits_for_its_turn(client, server):
    client.ask(server, encode.parse(b"s", ONE), encode.SYNC)
    server.answer(client, PARSED, READY)
    client.ask(server, bind(b"s"), encode.message(b"C", b"Ss\0"), encode.parse(b"s", ONE), encode.SYNC)
    heard = server.answer(client, BOUND, READY)
    assert heard.for_client == BOUND + CLOSED + PARSED + READY


def test_what_nobody_prepared_meets_nobody_elses(client, server, catalogue):
    client.ask(server, encode.parse(b"s", ONE), encode.parse(b"", TWO), encode.SYNC)
    server.answer(client, PARSED, PARSED, READY)
    stranger = Client(catalogue)
    for name in (b"mp1", b"s", b""):
        sent = stranger.ask(server, bind(name), encode.SYNC)
        assert sent == bind(b"unknown to this session: " + name) + encode.SYNC
        server.answer(stranger, encode.error("26000", "no such statement"), READY)


def test_an_unnamed_statement_reaches_the_server_of_the_next_bind(client, server, catalogue):
    neighbour = Client(catalogue)
    client.ask(server, encode.parse(b"", ONE), encode.SYNC)
    server.answer(client, PARSED, READY)
    neighbour.ask(server, encode.parse(b"", TWO), encode.SYNC)
    server.answer(neighbour, PARSED, READY)
    assert client.ask(server, bind(b""), encode.SYNC) == encode.parse(b"", ONE) + bind(b"") + encode.SYNC


def test_a_refused_statement_is_not_there(client, server):
    client.ask(server, encode.parse(b"s", ONE), bind(b"s"), encode.SYNC)
    server.answer(client, encode.error("42601", "syntax"), READY)
    assert len(client.requests) == 0
    assert len(server.state.prepared) == 0
    assert client.ask(server, encode.parse(b"s", TWO), encode.SYNC) == encode.parse(b"mp2", TWO) + encode.SYNC


def test_a_name_that_is_taken_is_refused_by_the_server(client, server):
    client.ask(server, encode.parse(b"s", ONE), encode.SYNC)
    server.answer(client, PARSED, READY)
    assert client.ask(server, encode.parse(b"s", TWO), encode.SYNC) == encode.parse(b"mp1", TWO) + encode.SYNC
    server.answer(client, encode.error("42P05", "already exists"), READY)
    assert client.ask(server, bind(b"s"), encode.SYNC) == bind(b"mp1") + encode.SYNC


def test_a_server_forgets_what_was_not_used_for_long(client):
    server = Server(most_bytes=1100)  # two statements
    for name, tail in ((b"a", ONE), (b"b", TWO)):
        client.ask(server, encode.parse(name, tail), encode.SYNC)
        server.answer(client, PARSED, READY)
    client.ask(server, bind(b"a"), encode.SYNC)
    server.answer(client, BOUND, READY)
    sent = client.ask(server, encode.parse(b"c", b"select 3\0\0\0"), encode.SYNC)
    assert sent == encode.close_statement(b"mp2") + encode.parse(b"mp3", b"select 3\0\0\0") + encode.SYNC
    assert server.answer(client, CLOSED, PARSED, READY).for_client == PARSED + READY


def test_discard_all(client, server):
    client.ask(server, encode.parse(b"s", ONE), encode.SYNC)
    server.answer(client, PARSED, READY)
    client.ask(server, encode.query("discard all"))
    assert server.answer(client, done(b"DISCARD ALL"), READY).forgotten
    assert len(server.state.prepared) == 0


def test_a_query_of_our_own_is_heard_by_nobody(client, server):
    server.state.flow.sent(Owed.SILENT_QUERY)
    client.ask(server, encode.query("select 1"))
    status = encode.parameter("TimeZone", "CET")
    refused = encode.error("22023", "invalid value")
    row = encode.message(b"D", b"\0\0")
    heard = server.answer(client, status, row, done(b"SET"), refused, READY, row, done(), READY)
    assert heard.for_client == row + done() + READY
    assert heard.own_errors == [refused]
    assert (heard.transactions, server.parameters) == (1, {"TimeZone": "CET"})


def test_a_query_of_our_own_after_a_clients(client, server):
    row = encode.message(b"D", b"\0\0")
    client.ask(server, encode.query("begin"))
    server.state.flow.sent(Owed.SILENT_QUERY)
    heard = server.answer(client, done(b"BEGIN"), encode.ready(IN_TRANSACTION), row)
    assert heard.for_client == done(b"BEGIN") + encode.ready(IN_TRANSACTION)
    assert server.answer(client, row, done(), READY).for_client == b""


def test_what_comes_after_a_server_is_free_is_nobodys(client, server):
    client.ask(server, encode.query("select 1"))
    notice = encode.message(b"N", b"\0")
    heard = server.answer(client, done(), READY, notice)
    assert (heard.for_client, heard.rest) == (done() + READY, notice)


@pytest.mark.parametrize("status", [IN_TRANSACTION, ord("E")])
def test_a_transaction_keeps_its_server(client, server, status):
    client.ask(server, encode.query("begin"))
    assert not server.answer(client, done(b"BEGIN"), encode.ready(status)).free
    client.ask(server, encode.query("commit"))
    assert server.answer(client, done(b"COMMIT"), READY).free


def test_the_catalogue_lets_go_of_what_nobody_has(catalogue):
    small = Catalogue(most_bytes=600)
    first, second = Client(small), Client(small)
    server = Server()
    first.ask(server, encode.parse(b"a", ONE), encode.SYNC)
    second.ask(server, encode.parse(b"b", TWO), encode.SYNC)
    assert len(small) == 2  # both are in use, whatever they take
    first.requests.forget_all()
    assert len(small) == 1


ROW, DONE = encode.message(b"D", b"\0\0"), encode.message(b"C", b"SELECT 1\0")
COLUMNS, READY = encode.message(b"T", b"\0\0"), encode.ready(IDLE)


@pytest.mark.parametrize(
    ("data", "wanted", "whole"),
    [
        (PARSED + BOUND + COLUMNS + ROW + ROW + DONE + READY, b"12TCZ", True),
        (BOUND + NO_ROWS + encode.message(b"I", b"") + READY, b"2TCZ", True),
        (BOUND + DONE + BOUND + DONE + READY, b"2C2CZ", True),
        (PARSED + BOUND + DONE + READY, b"2CZ", False),  # more than was asked
        (BOUND + DONE, b"2CZ", False),
        (BOUND + DONE + READY[:3], b"2CZ", False),
        (BOUND + DONE + READY + READY, b"2CZ", False),
        (BOUND + DONE + encode.ready(IN_TRANSACTION), b"2CZ", False),
        (ROW + BOUND + DONE + READY, b"2CZ", False),
        (BOUND + encode.error("22012", "division by zero") + READY, b"2CZ", False),
        (BOUND + encode.message(b"C", b"DISCARD ALL\0") + READY, b"2CZ", False),
        (BOUND + encode.message(b"C", b"CREATE TABLE\0") + READY, b"2CZ", False),
        (BOUND + encode.parameter("TimeZone", "UTC") + DONE + READY, b"2CZ", False),
        (BOUND + DONE + READY, bytes((0, *b"2CZ")), False),  # something else is owed first
        (b"", b"", False),
    ],
)
def test_a_whole_answer_to_a_batch(data, wanted, whole):
    assert is_whole(data, wanted) is whole
