"""Enums: the model's members and the contract's values, paired by name; a new member without a value fails at import."""

from collections.abc import Iterable
from enum import Enum
from typing import Generic, TypeVar

from marchproxy.contract.convert.faults import Faults
from marchproxy.contract.pb import types_pb2
from marchproxy.model.ai import Pick, Prefer, Provider
from marchproxy.model.database import Pooling, ReadTarget
from marchproxy.model.http import StickyKind
from marchproxy.model.limit import LimitUnit
from marchproxy.model.module import HealthStatus, ModuleType, Protocol
from marchproxy.model.pool import BalancePolicy, HashTable
from marchproxy.model.route import PathKind
from marchproxy.model.rtmp import Duplicate, Encoder, OriginPick
from marchproxy.model.sql import SqlMode, SqlTrait

M = TypeVar("M", bound=Enum)
V = TypeVar("V", bound=int)


class EnumCodec(Generic[M, V]):
    """Translates one enum. UNSPECIFIED is None on the model's side."""

    def __init__(self, members: type[M], values: Iterable[tuple[str, V]], prefix: str) -> None:
        by_name = dict(values)
        self._unspecified = by_name[f"{prefix}_UNSPECIFIED"]
        self._values = {member: by_name[f"{prefix}_{member.name}"] for member in members}
        self._members = {value: member for member, value in self._values.items()}

    def to_pb(self, member: M | None) -> V:
        """The contract's value."""
        return self._unspecified if member is None else self._values[member]

    def read(self, value: V, path: str, faults: Faults) -> M | None:
        """The model's member; None for UNSPECIFIED, and for an unknown value, which is a fault."""
        member = self._members.get(value)
        if member is None and value != self._unspecified:
            faults.add(path, f"unknown value {value}")
        return member

    def from_pb(self, value: V, path: str) -> M | None:
        """The model's member, None for UNSPECIFIED. Raises InvalidValue on an unknown value."""
        faults = Faults()
        member = self.read(value, path, faults)
        faults.raise_any()
        return member


MODULE_TYPES = EnumCodec(ModuleType, types_pb2.ModuleType.items(), "MODULE_TYPE")
PROTOCOLS = EnumCodec(Protocol, types_pb2.Protocol.items(), "PROTOCOL")
HEALTH = EnumCodec(HealthStatus, types_pb2.HealthStatus.items(), "HEALTH_STATUS")
BALANCE = EnumCodec(BalancePolicy, types_pb2.BalancePolicy.items(), "BALANCE_POLICY")
PATH_KINDS = EnumCodec(PathKind, types_pb2.PathMatchKind.items(), "PATH_MATCH_KIND")
HASH_TABLES = EnumCodec(HashTable, types_pb2.HashTable.items(), "HASH_TABLE")
STICKY_KINDS = EnumCodec(StickyKind, types_pb2.StickyKind.items(), "STICKY_KIND")
POOLINGS = EnumCodec(Pooling, types_pb2.Pooling.items(), "POOLING")
READ_TARGETS = EnumCodec(ReadTarget, types_pb2.ReadTarget.items(), "READ_TARGET")
AI_PROVIDERS = EnumCodec(Provider, types_pb2.AiProvider.items(), "AI_PROVIDER")
AI_PICKS = EnumCodec(Pick, types_pb2.AiPick.items(), "AI_PICK")
AI_PREFERENCES = EnumCodec(Prefer, types_pb2.AiPrefer.items(), "AI_PREFER")
ORIGIN_PICKS = EnumCodec(OriginPick, types_pb2.OriginPick.items(), "ORIGIN_PICK")
DUPLICATES = EnumCodec(Duplicate, types_pb2.DuplicatePolicy.items(), "DUPLICATE_POLICY")
ENCODERS = EnumCodec(Encoder, types_pb2.VideoEncoder.items(), "VIDEO_ENCODER")
SQL_MODES = EnumCodec(SqlMode, types_pb2.SqlMode.items(), "SQL_MODE")
SQL_TRAITS = EnumCodec(SqlTrait, types_pb2.SqlTrait.items(), "SQL_TRAIT")
LIMIT_UNITS = EnumCodec(LimitUnit, types_pb2.LimitUnit.items(), "LIMIT_UNIT")
