"""One form for the JSON Schemas that two libraries generate, so that strict tools and code generators take them.

Rules:
- A field has no `default`, because generators make a field with a default mandatory. An absent field has its own rule.
- An enumeration has the JSON type of its values, and the values are sorted.
- Only a schema with a name has a title. A title of a field would be a name, too, and no unique one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MAPS_OF_SCHEMAS = ("properties", "$defs")
_TYPES = {str: "string", int: "integer", bool: "boolean"}


def tidied(schema: Any) -> Any:
    """The same schema in that form. schema: a JSON Schema, or any part of one."""
    if isinstance(schema, list):
        return [tidied(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _inner(key, value) for key, value in schema.items() if key != "default"}
    values = _values(schema)
    if values and "type" not in found:
        found = {"type": _TYPES[type(values[0])], **found}
    if "enum" in found:
        found["enum"] = sorted(values)
    return found


def _inner(key: str, value: Any) -> Any:
    if key not in _MAPS_OF_SCHEMAS:
        return tidied(value)
    schemas = {name: tidied(each) for name, each in value.items()}
    if key == "properties":
        for each in schemas.values():
            each.pop("title", None)
    return schemas


def _values(schema: Mapping[str, Any]) -> Sequence[Any]:
    return schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else []
