"""What a settings model knows: which keys may stand at a path. Reads models, never values."""

import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NewType, Union, get_args, get_origin

from pydantic import BaseModel

from marchproxy.kit.settings.problems import KeyPath

_MAX_DEPTH = 8  # a model may contain itself


@dataclass(frozen=True, slots=True)
class Shape:
    """The types that are allowed at one place of a document; more than one where the model says `A | B`."""

    types: tuple[Any, ...]

    @classmethod
    def of(cls, annotation: Any) -> "Shape":
        """Return the shape of a type annotation, with unions, Annotated and NewType taken apart."""
        return cls(tuple(_alternatives(annotation)))

    def keys(self) -> tuple[str, ...]:
        """Return the keys that models at this place know."""
        return tuple(name for model in self._models() for name in _fields(model))

    def at(self, path: KeyPath) -> "Shape":
        """Return the shape at `path` below this one; an empty one where nothing is known."""
        shape = self
        for key in path:
            shape = Shape(tuple(found for kind in shape.types for found in _below(kind, key)))
        return shape

    def is_list(self) -> bool:
        """Tell whether a list, tuple or set may stand here."""
        return any(_is_list(kind) for kind in self.types)

    def is_text_only(self) -> bool:
        """Tell whether nothing but text may stand here."""
        return all(kind is str or kind is type(None) for kind in self.types)

    def leaves(self, path: KeyPath = ()) -> Iterator[KeyPath]:
        """Yield the path of every setting that can be reached through models alone."""
        models = self._models() if len(path) < _MAX_DEPTH else []
        if not models and path:
            yield path
        for model in models:
            for name, annotation in _fields(model).items():
                yield from Shape.of(annotation).leaves((*path, name))

    def _models(self) -> list[type[BaseModel]]:
        return [kind for kind in self.types if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _alternatives(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, NewType):
        yield from _alternatives(annotation.__supertype__)
    elif get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


def _below(kind: Any, key: str | int) -> Iterator[Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        if key in (fields := _fields(kind)):
            yield from _alternatives(fields[str(key)])
        return
    arguments = [argument for argument in get_args(kind) if argument is not Ellipsis]
    if _is_mapping(kind) and len(arguments) == 2:
        yield from _alternatives(arguments[1])
    elif _is_list(kind) and isinstance(key, int):
        for argument in arguments:
            yield from _alternatives(argument)


def _is_mapping(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return (
        isinstance(origin, type)
        and issubclass(origin, Collection)
        and not issubclass(origin, (str, bytes, Mapping))
    )
