"""Prepared: what a server answers to COM_STMT_PREPARE, before it describes parameters and columns."""

from dataclasses import dataclass

from marchproxy.wire.fault import ProtocolFault
from marchproxy.wire.mysql.packets import Reader


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement, by the number that the server gave it, and how many parameters it has."""

    number: int
    parameters: int


#: Stands for a statement that was not prepared.
REFUSED = Prepared(0, 0)


def read_prepared(payload: bytes) -> tuple[Prepared, int]:
    """The statement, and how many columns its result has. Raises ProtocolFault."""
    reader = Reader(payload)
    if reader.number(1) != 0:
        raise ProtocolFault("a PREPARE is answered by neither OK nor ERR")
    number, columns, parameters = reader.number(4), reader.number(2), reader.number(2)
    return Prepared(number, parameters), columns
