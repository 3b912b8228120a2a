"""Spans by OpenTelemetry, exported by OTLP. Needs ``retrace[otel]``; only ``traces`` imports it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from streams.traces import Step

MOST_LINKS = 128
_root: ContextVar[SpanContext | None] = ContextVar("root", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for a root whose context is given."""

    def generate_trace_id(self) -> int:
        root = _root.get()
        return super().generate_trace_id() if root is None else root.trace_id

    def generate_span_id(self) -> int:
        root = _root.get()
        return super().generate_span_id() if root is None else root.span_id


class Exporting:
    """Spans of one service, handed to a processor."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        resource = Resource.create(
            {"service.namespace": "retrace", "service.name": f"retrace-{service}"}
        )
        self.provider = TracerProvider(resource=resource, id_generator=_Ids())
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("retrace")

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins here is exported."""
        found = self.provider.sampler.should_sample(None, int(trace_id, 16), "")
        return found.decision is Decision.RECORD_AND_SAMPLE

    @contextmanager
    def span(self, step: Step) -> Iterator[str]:
        """A span around what is done; an error ends it and is its status."""
        token = _root.set(_read(step.root) if step.root and not step.parent else None)
        begun = self._tracer.start_span(
            step.name,
            context=_context(step.parent),
            kind=SpanKind[step.kind.upper()],
            links=[Link(_read(context)) for context in step.links[-MOST_LINKS:]],
            attributes=step.attributes,
            start_time=_clock(step.began),
        )
        _root.reset(token)
        with trace.use_span(begun, end_on_exit=True, record_exception=False):
            yield _written(begun.get_span_context())


def exporting(service: str) -> Exporting:
    """Spans exported as the environment's ``OTEL_…`` say."""
    return Exporting(service, BatchSpanProcessor(OTLPSpanExporter()))


def _clock(began: float | None) -> int | None:
    """A moment of the monotonic clock as Unix nanoseconds."""
    return None if began is None else time.time_ns() - int((time.monotonic() - began) * 1e9)


def _context(parent: str | None) -> Context:
    span = trace.INVALID_SPAN if parent is None else NonRecordingSpan(_read(parent))
    return trace.set_span_in_context(span, Context())


def _read(context: str) -> SpanContext:
    _, trace_id, span_id, flags = context.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )


def _written(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
