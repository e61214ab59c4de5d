"""Spans of OpenTelemetry, with the extra `otel`: one for each input that belongs to a trace, until it is committed.

Rules:
- Spans need the extra and the variable OTEL_EXPORTER_OTLP_ENDPOINT. OpenTelemetry's other OTEL_ variables configure
  them. Without spans, a trace is passed on as it came.
- An input without a trace has no span and costs nothing.
- A span names its record by topic, partition and offset. It contains nothing of the key, value or headers.
"""

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

from worker.observability.tracing import TRACEPARENT

End = Callable[[], None]


class Read(Protocol):
    """The record that a span is about."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition, from 0."""

    @property
    def offset(self) -> int:
        """Its offset in the partition."""


Begin = Callable[[Read, bytes], tuple[bytes, End]]
"""Opens the span of an input under its traceparent. Returns the span's own traceparent, and a function to end it."""


def spans_from_environment() -> Begin | None:
    """The function that opens spans; None unless the extra is installed and an endpoint is set."""
    if (
        not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or find_spec("opentelemetry.exporter.otlp.proto.http") is None
    ):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", "customer-context")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return spans_of(provider)


def spans_of(provider: Any) -> Begin:
    """The function that opens spans with an OpenTelemetry TracerProvider."""
    from opentelemetry.trace import SpanKind, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    tracer, context = provider.get_tracer("customer-context"), TraceContextTextMapPropagator()

    def begin(record: Read, parent: bytes) -> tuple[bytes, End]:
        span = tracer.start_span(
            f"process {record.topic}",
            context.extract({TRACEPARENT: parent.decode()}),
            kind=SpanKind.CONSUMER,
            attributes={
                "messaging.system": "kafka",
                "messaging.destination.name": record.topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            },
        )
        own: dict[str, str] = {}
        context.inject(own, set_span_in_context(span))
        return own[TRACEPARENT].encode(), span.end

    return begin
