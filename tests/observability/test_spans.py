"""With OpenTelemetry, each input of a trace is a span. Records that the input causes belong to that span."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from worker.engine.unit import InputRecord
from worker.observability.spans import Begin, spans_from_environment, spans_of
from worker.observability.tracing import checked

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
RECORD = InputRecord("order.completed", 2, 41, 0, b"the key", b"the value", (("traceparent", PARENT),))


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def begin(exported: InMemorySpanExporter) -> Begin:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return spans_of(provider)


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    """Trace, parent and own id, in hex."""
    context, parent = span.get_span_context(), span.parent
    assert context is not None
    assert parent is not None
    return f"{context.trace_id:032x}", f"{parent.span_id:016x}", f"{context.span_id:016x}"


def test_the_span_of_an_input_is_a_child_of_what_sent_it_and_parent_of_what_it_causes(
    begin: Begin, exported: InMemorySpanExporter
):
    passed_on, end = begin(RECORD, PARENT)
    end()
    (span,) = exported.get_finished_spans()
    trace, parent, own = ids(span)
    assert (trace, parent) == (PARENT[3:35].decode(), PARENT[36:52].decode())
    assert passed_on == f"00-{trace}-{own}-01".encode()
    assert checked(passed_on)


def test_a_span_lasts_until_it_is_ended_and_tells_the_record_but_nothing_of_its_content(
    begin: Begin, exported: InMemorySpanExporter
):
    _, end = begin(RECORD, PARENT)
    assert exported.get_finished_spans() == ()
    end()
    (span,) = exported.get_finished_spans()
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.destination.name": "order.completed",
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 41,
    }


def test_what_its_sender_did_not_sample_is_not_recorded_and_still_travels(
    begin: Begin, exported: InMemorySpanExporter
):
    passed_on, end = begin(RECORD, PARENT[:-2] + b"00")
    end()
    assert exported.get_finished_spans() == ()
    assert passed_on[:35] == PARENT[:35]
    assert passed_on.endswith(b"-00")


def test_without_an_endpoint_there_are_no_spans(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert spans_from_environment() is None
