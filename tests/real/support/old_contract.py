"""A client that knows nothing but the contract as it was once fixed: its messages are made from wire.json alone."""

import json
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

WIRE = json.loads((Path(__file__).parents[2] / "unit/contract/wire.json").read_text())
_SCALARS = {
    "string": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "bool": Field.TYPE_BOOL,
    "double": Field.TYPE_DOUBLE,
    "int32": Field.TYPE_INT32,
    "int64": Field.TYPE_INT64,
}


class OldContract:
    """Messages by name, and calls by service and method."""

    def __init__(self) -> None:
        self._pool = DescriptorPool()
        self._pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
        self._enums = {
            name: values for part in WIRE["files"].values() for name, values in part["enums"].items()
        }
        self._services = {
            name: rpcs for part in WIRE["files"].values() for name, rpcs in part["services"].items()
        }
        # one file, in which every name is known to every other
        file = FileDescriptorProto(
            name="old.proto",
            package=WIRE["package"],
            syntax="proto3",
            dependency=[timestamp_pb2.DESCRIPTOR.name],
        )
        for name, values in self._enums.items():
            enum = file.enum_type.add(name=name)
            for value, number in values.items():
                enum.value.add(name=value, number=number)
        for part in WIRE["files"].values():
            for name, fields in part["messages"].items():
                self._add_message(file, name, fields)
        self._pool.AddSerializedFile(file.SerializeToString())

    def message(self, name: str, **fields: Any) -> Any:
        """A message of the old contract."""
        return self._class(name)(**fields)

    def value(self, name: str) -> int:
        """An enum's value."""
        return next(values[name] for values in self._enums.values() if name in values)

    async def call(self, channel: grpc.aio.Channel, rpc: str, **fields: Any) -> Any:
        """Call `Service.Method` with these fields of its request; the first answer, where it is a stream."""
        service, method = rpc.split(".")
        asked, answered = self._services[service][method]
        request = self.message(asked, **fields)
        kind = self._class(answered.removeprefix("stream "))
        path = f"/{WIRE['package']}.{service}/{method}"
        if not answered.startswith("stream "):
            unary = channel.unary_unary(
                path, request_serializer=_as_bytes, response_deserializer=kind.FromString
            )
            return await unary(request, timeout=20)
        stream = channel.unary_stream(
            path, request_serializer=_as_bytes, response_deserializer=kind.FromString
        )
        replies = stream(request, timeout=20)
        first = await replies.read()
        replies.cancel()
        return first

    def _class(self, name: str) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{WIRE['package']}.{name}"))

    def _add_message(self, file: FileDescriptorProto, name: str, fields: dict[str, list[Any]]) -> None:
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=Field.LABEL_OPTIONAL)
            if kind.startswith("map<"):
                entry = "".join(word.capitalize() for word in field.split("_")) + "Entry"
                nested = message.nested_type.add(name=entry)
                nested.options.map_entry = True
                key, value = kind[4:-1].split(", ")
                self._set_type(nested.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL), key)
                self._set_type(nested.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL), value)
                added.label, added.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
                added.type_name = f".{WIRE['package']}.{name}.{entry}"
                continue
            if kind.startswith("repeated "):
                added.label = Field.LABEL_REPEATED
            self._set_type(added, kind.removeprefix("repeated "))

    def _set_type(self, field: Field, kind: str) -> None:
        if kind in _SCALARS:
            field.type = _SCALARS[kind]
        else:
            field.type = Field.TYPE_ENUM if kind in self._enums else Field.TYPE_MESSAGE
            field.type_name = f".{kind}" if "." in kind else f".{WIRE['package']}.{kind}"


def _as_bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())
