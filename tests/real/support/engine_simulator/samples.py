"""Samples: what an engine writes where something of a shape is wanted: the least that a JSON schema allows."""

from typing import Any

_PLAIN: dict[str, Any] = {"string": "text", "integer": 7, "number": 0.5, "boolean": True, "null": None}


def sample(schema: dict[str, Any], root: dict[str, Any] | None = None) -> Any:
    """A value that the schema takes; of JSON Schema, as much as the clients' libraries write."""
    root = schema if root is None else root
    schema = _meant(schema, root)
    if "enum" in schema or "const" in schema:
        return schema["const"] if "const" in schema else schema["enum"][0]
    kind = schema.get("type", "object")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: sample(value, root) for name, value in schema.get("properties", {}).items()}
        case "array":
            return [sample(schema.get("items", {"type": "string"}), root)]
        case plain:
            return _PLAIN[plain]


def _meant(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """What a reference refers to; of several, the first."""
    if "$ref" in schema:
        target: Any = root
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return _meant(target, root)
    several = next((schema[word] for word in ("anyOf", "oneOf", "allOf") if word in schema), None)
    return schema if several is None else _meant(several[0], root)
