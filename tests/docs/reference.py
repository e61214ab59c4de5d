"""docs/contract.md, made from the models: `python -m tests.docs.reference` writes it, test_reference compares it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from api.endpoints import CUSTOMER_OPERATIONS, METRICS, PAGE_OPERATIONS
from worker.cli.topics import all_topics
from worker.domain.rejections import DeadLetterReason, RejectionCode
from worker.kafka.topics import Catalogue
from worker.wire import inputs
from worker.wire.command_models import COMMAND_MODELS
from worker.wire.published import DATA_TYPES
from worker.wire.schemas import schemas

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"

_INTRODUCTION = """\
# Contract reference

What other programs may rely on, as tables; [the contract in words](contract-text.md) has the rules.
This page is generated from the code's own models by `python -m tests.docs.reference`; a test holds it current.
Complete JSON Schemas lie in `tests/wire/golden`.
A running worker shows them at `/asyncapi.json`, `/openapi.json` and, readable, at `/docs`.
A field may be added; none is renamed or changes its meaning without a new version.
"""

_COMMANDS = """\
## Commands

Each is `{commandId, commandType, customerId, issuedAt, correlationId?, expectedVersion?, actor?, data}`; the tables show `data`.
"""

_DEAD_LETTERS = """\
## Dead letters

The original bytes and headers, and the headers `dlq-reason`, `dlq-detail`, `dlq-topic`, `dlq-partition`, `dlq-offset`, `dlq-timestamp` of the first source.
One in which a full card number stands outside ids, phones and times has the SHA-256 of its bytes in their place, and the header `dlq-masked: card-number`.
One that is too large has it too, and `dlq-masked: size`: an input over the limits, and what the topic would not take; a key and headers over 64 KiB together are then left out.
Of a record batch that cannot be decompressed or read, and of what comes after its first GiB, there is one letter at its last offset; the value is then the SHA-256 of the batch's compressed records.
Reasons: """

_HTTP = """\
## HTTP

Errors are RFC 9457 `application/problem+json`; any may answer 400, 401, 403, 413, 415, 417, 421 or 503.

- While HTTP is open, a request whose `Host` is neither a loopback name or address nor that of `ADVERTISED_URL` is 421.
  The port does not count. An `Expect` other than `100-continue` is 417.
- `If-Match` takes `*` or a list of entity tags, of which one has to be the customer's version; a weak one never is.
- Every answer carries `Cache-Control: no-store`, `X-Content-Type-Options: nosniff`, `Referrer-Policy: no-referrer` and
  a `Content-Security-Policy` that allows no frame, no base and no form.
- Tokens: `exp`, `nbf` and `iat` are JSON numbers and are compared with a leeway of 30 s; `scope` is text with spaces
  between the scopes; a header with `crit` is refused.

"""

Rows = Iterable[tuple[str, ...]]


def page() -> str:
    """The text of docs/contract.md."""
    parts = [
        _INTRODUCTION,
        "## Topics\n\n`TOPIC_PREFIX` goes before the names, `APP_ID` begins the changelogs'. The order index "
        "and its changelog are there only with `PAYMENT_JOIN`.\n\n" + _topics(),
        "## Consumed events\n\nPlain JSON as shown, or CloudEvents 1.0, structured or binary.\n",
        *_messages(
            event.__name__
            for event in (inputs.OrderCompletedEvent, inputs.OrderReturnedEvent, inputs.PaymentCompletedEvent)
        ),
        _COMMANDS,
        *_messages(COMMAND_MODELS, "data"),
        "## Command results\n",
        *_messages(["CommandResult"]),
        "Codes: " + _codes(RejectionCode) + "\n",
        "## Published events\n\nCloudEvents 1.0, structured mode, headers `event-type` and, unless `CE_TYPE_HEADER=off`, `ce_type`; the tables show `data`.\n",
        *_messages(DATA_TYPES, "data"),
        _DEAD_LETTERS + _codes(DeadLetterReason) + "\n",
        _HTTP + _http(),
        "## Settings\n\n[Settings](settings.md) has all of them.\n",
    ]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _topics() -> str:
    rows = (
        (f"`{topic.name}`", topic.direction, topic.key, topic.value, str(topic.partitions), topic.cleanup)
        for topic in all_topics(Catalogue(payment_join=True))
    )
    return _table(("topic", "direction", "record key", "value", "partitions", "cleanup"), rows)


def _messages(names: Iterable[str], part: str | None = None) -> Iterator[str]:
    known = schemas()
    for name in names:
        schema = known[name]
        definitions = schema.get("$defs", {})
        fields = schema["properties"][part] if part else schema
        description = schema.get("description") or fields.get("description") or ""
        yield f"### {name}\n\n{description}\n\n{_fields(fields, definitions)}"


def _fields(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    required = set(schema.get("required", ()))
    rows = (
        (f"`{name}`", _kind(field, definitions), "yes" if name in required else "", _said(field))
        for name, field in schema["properties"].items()
    )
    return _table(("field", "type", "required", ""), rows)


def _kind(field: dict[str, Any], definitions: dict[str, Any]) -> str:
    """A JSON Schema type in few words."""
    if "$ref" in field:
        target = definitions[field["$ref"].rpartition("/")[2]]
        if "enum" in target:
            return " \\| ".join(map(str, target["enum"]))
        return "{" + ", ".join(target.get("properties", {})) + "}"
    if "anyOf" in field:
        kinds = [_kind(each, definitions) for each in field["anyOf"]]
        return " or ".join(kinds)
    if "enum" in field:
        return " \\| ".join(map(str, field["enum"]))
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}), definitions)}"
    kind = str(field.get("type", "any"))
    limits = [
        f"{sign} {field[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
        if key in field and abs(field[key]) < 2**53 - 1
    ]
    return f"{kind} {', '.join(limits)}".strip()


def _said(field: dict[str, Any]) -> str:
    own = field.get("description")
    inner = (each.get("description") for each in field.get("anyOf", ()))
    return str(own or next(filter(None, inner), "")).replace("|", "\\|")


def _http() -> str:
    rows = (
        (
            f"`{operation.method} {operation.path}`",
            operation.summary,
            operation.access.value or "open",
            ", ".join(map(str, operation.answers)),
            ", ".join(map(str, operation.errors)),
        )
        for operation in (*CUSTOMER_OPERATIONS, *PAGE_OPERATIONS, METRICS)
    )
    return _table(("endpoint", "does", "scope", "success", "main errors"), rows)


def _codes(kind: type[RejectionCode] | type[DeadLetterReason]) -> str:
    return ", ".join(f"`{code.value}`" for code in kind) + "."


def _table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Writes docs/contract.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
