"""Saved: what survives a restart, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from marchproxy.model.module import InstanceId
from marchproxy.model.state import DesiredState
from marchproxy.nlb.state.member import Member
from marchproxy.nlb.state.progress import Progress
from marchproxy.nlb.state.table import RoutingTable
from marchproxy.nlb.state.verdicts import Answer

#: What all files begin with; a file of another format is not read.
FORMAT = 4


@dataclass(frozen=True, slots=True)
class Saved:
    """Members, table, answers about listeners, and the configuration with the checksum of the file it grew from.

    `checksum` is that of the document; `progress` what version RPCs did to it since.
    """

    members: tuple[Member, ...] = ()
    table: RoutingTable = field(default_factory=RoutingTable)
    answers: Mapping[tuple[InstanceId, str], Answer] = field(default_factory=dict)
    desired: DesiredState = field(default_factory=DesiredState)
    base: str = ""
    checksum: str = ""
    progress: Progress = field(default_factory=Progress)
