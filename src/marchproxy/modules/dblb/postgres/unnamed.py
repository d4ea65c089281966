"""Unnamed: a client's statement without a name, which it prepares with each request, as a rule the same again. Pure."""

from dataclasses import dataclass

from marchproxy.modules.dblb.postgres.statements import Catalogue, Statement, Told
from marchproxy.wire.postgres.flow import Owed
from marchproxy.wire.postgres.frontend import read_parse

#: What a whole request has a server owe.
Asked = tuple[tuple[Owed, object], ...]
#: What a batch asks, and its answers, without and with a Describe.
BATCHES: tuple[tuple[Asked, bytes], ...] = (
    (((Owed.BIND, None), (Owed.EXECUTE, None), (Owed.SYNC, None)), b"2CZ"),
    (((Owed.BIND, None), (Owed.DESCRIBE_PORTAL, None), (Owed.EXECUTE, None), (Owed.SYNC, None)), b"2TCZ"),
)
#: A longer Parse of the unnamed statement is not kept, and read each time.
LONGEST_KEPT = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Unnamed:
    """The Parse of a client's unnamed statement, and the batches that begin with it."""

    parse: bytes
    statement: Statement
    batches: tuple[tuple[Asked, bytes], ...]

    @classmethod
    def of(cls, parse: bytes, catalogue: Catalogue) -> "Unnamed":
        """What a Parse says. Raises ProtocolFault."""
        statement = catalogue.unnamed(read_parse(parse))
        first = (Owed.PARSE, Told(statement, b""))
        batches = tuple(((first, *asked), b"1" + answers) for asked, answers in BATCHES)
        return cls(parse, statement, batches)
