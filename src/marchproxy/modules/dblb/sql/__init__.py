"""What a statement is, whether a replica may answer it, and what the firewall says of it."""

from marchproxy.modules.dblb.sql.facts import Dialect, Facts, Hint, Scope, Setting, Syntax
from marchproxy.modules.dblb.sql.firewall import SqlSession, Verdict, judge
from marchproxy.modules.dblb.sql.reader import Reader, ReaderLimits
from marchproxy.modules.dblb.sql.replica import Standing, Volatility, VolatilityOf, replica_obstacle

__all__ = [
    "Dialect",
    "Facts",
    "Hint",
    "Reader",
    "ReaderLimits",
    "Scope",
    "Setting",
    "SqlSession",
    "Standing",
    "Syntax",
    "Verdict",
    "Volatility",
    "VolatilityOf",
    "judge",
    "replica_obstacle",
]
