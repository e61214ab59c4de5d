"""What a change of a message's schema breaks for those who read it, or for those who write it.

Rules:
- A message that we publish (`out`) keeps every field, its types get no more and its fields stay always present.
- A message that we take (`in`) keeps accepting what it accepted: no new required field, no type, value or length less.
- Fields, and values of an enumeration, may be added either way; to rename is to remove.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

Direction = Literal["in", "out"]
Schema = Mapping[str, Any]

_LOWER_LIMITS = ("minLength", "minimum", "minItems")
_UPPER_LIMITS = ("maxLength", "maximum", "maxItems")


def breaks(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """One sentence for each thing that breaks; none when the change is compatible. Both are whole schemas."""
    return list(_Comparison(old, new, direction).of(old, new, "$"))


class _Comparison:
    def __init__(self, old: Schema, new: Schema, direction: Direction) -> None:
        self._old, self._new, self._direction = old, new, direction

    def of(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        yield from self._types(old, new, path)
        yield from _values(old, new, path)
        if self._direction == "in":
            yield from _limits(old, new, path)
        if new.get("pattern", old.get("pattern")) != old.get("pattern"):
            yield f"{path} has another pattern"
        for kind in ("object", "array"):
            before, after = _branch(old, kind, self._old), _branch(new, kind, self._new)
            if before is not None and after is not None:
                yield from self._fields(before, after, path)
                if "items" in before and "items" in after:
                    yield from self.of(before["items"], after["items"], f"{path}[]")

    def _types(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        before, after = _types(old, self._old), _types(new, self._new)
        wider, narrower = (before, after) if self._direction == "out" else (after, before)
        if wider and not narrower <= wider:
            yield f"{path} has another type"

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        yield from (f"{path}.{name} was removed" for name in before if name not in after)
        required, now_required = set(old.get("required", ())), set(new.get("required", ()))
        if self._direction == "in":
            yield from (f"{path}.{name} is required now" for name in sorted(now_required - required))
            if new.get("additionalProperties", True) is False and old.get("additionalProperties", True):
                yield f"{path} takes no other fields now"
        else:
            gone = sorted((required - now_required) & set(after))
            yield from (f"{path}.{name} is not always there any more" for name in gone)
        for name, schema in before.items():
            if name in after:
                yield from self.of(schema, after[name], f"{path}.{name}")


def _values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    before, after = _enumerated(old), _enumerated(new)
    if before and after:
        yield from (f"{path} lost the value {value!r}" for value in before if value not in after)


def _limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for name in (*_LOWER_LIMITS, *_UPPER_LIMITS):
        before, after = old.get(name), new.get(name)
        if after is None or after == before:
            continue
        if before is None or (after > before) == (name in _LOWER_LIMITS):
            yield f"{path} takes less: {name} is {after}"


def _enumerated(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _types(schema: Schema, root: Schema) -> set[str]:
    """The JSON types of a schema, empty when it takes anything. A number takes an integer too."""
    if "anyOf" in schema:
        return set().union(*(_types(_resolved(each, root), root) for each in schema["anyOf"]))
    named = schema.get("type", [_type_of(value) for value in _enumerated(schema)])
    types = {named} if isinstance(named, str) else set(named)
    return types | {"integer"} if "number" in types else types


def _branch(schema: Schema, kind: str, root: Schema) -> Schema | None:
    """The part of a schema that describes values of this type."""
    for each in schema.get("anyOf", [schema]):
        resolved = _resolved(each, root)
        if resolved.get("type") == kind:
            return resolved
    return None


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return schema


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")
