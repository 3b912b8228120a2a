"""Trace context (W3C traceparent) from record to record, and spans where they are exported.

A context is the header's text. Without OpenTelemetry a loop hands on what came in, unchanged; with
``OTEL_EXPORTER_OTLP_ENDPOINT`` set each step is a span of its own (spans.py, ``retrace[otel]``).
A message that stands for many carries the newest's context, and its span links the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Protocol

import structlog

from schemas.codec import Headers, Message, Raw

log = structlog.get_logger("retrace")
HEADER = "traceparent"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_CONTEXT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@dataclass(frozen=True)
class Step:
    """What a span tells: ``parent`` and ``links`` are contexts, ``root`` the one to begin with
    where there is no parent, ``began`` when it did (monotonic seconds), None: now."""

    name: str
    parent: str | None = None
    links: Sequence[str] = ()
    kind: str = "consumer"
    root: str | None = None
    began: float | None = None
    attributes: Mapping[str, str | int] = field(default_factory=dict)


class Spans(Protocol):
    """What makes spans: ``span`` gives the new one's context."""

    def span(self, step: Step) -> AbstractContextManager[str]: ...

    def samples(self, trace_id: str) -> bool: ...


_spans: Spans | None = None


def configure(service: str) -> None:
    """Export spans where an OTLP endpoint is set; say so where that needs the extra."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from streams import spans
    except ImportError:
        log.warning("no spans are exported: install retrace[otel]")
        return
    use(spans.exporting(service))


def use(spans: Spans | None) -> None:
    """Make spans by this from now on; None: none."""
    global _spans
    _spans = spans


def are_exported() -> bool:
    """Whether steps are spans."""
    return _spans is not None


def current() -> str | None:
    """The context of what is being done."""
    return _current.get()


def of_task(task_id: str) -> str:
    """A task's own context, the same wherever and whenever it is asked for.

    So what happens to a task is one trace, from the first call to the last, and nothing is kept.
    """
    digest = blake2b(task_id.encode(), digest_size=24).hexdigest()
    sampled = _spans is None or _spans.samples(digest[:32])
    return f"00-{digest[:32]}-{digest[32:]}-{sampled:02x}"


def checked(context: str | None) -> str | None:
    """A context as another program sent it; None where it is none."""
    return context if context and _CONTEXT.fullmatch(context) else None


def carried(headers: Headers) -> str | None:
    """The context that a record came with."""
    for name, value in headers:
        if name == HEADER and value is not None:
            return checked(value.decode("ascii", "replace"))
    return None


def newest(raws: Sequence[Raw]) -> tuple[str | None, list[str]]:
    """The context that a batch's message carries, and those that its span links.

    Where nothing is exported only the last record is looked at: a busy loop doesn't pay.
    """
    looked_at = raws if _spans else raws[-1:]
    found = [context for raw in looked_at if (context := carried(raw.headers))]
    return (found[-1], found[:-1]) if found else (None, [])


def onto(message: Message, context: str | None = None) -> Message:
    """The message with a context, the current one where none is given, if there is any."""
    context = context or _current.get()
    if context is None:
        return message
    return message._replace(headers=[*message.headers, (HEADER, context.encode())])


@contextmanager
def span(name: str, parent: str | None = None, **about: Any) -> Iterator[str | None]:
    """Do a ``Step`` within its context: its span's where spans are made, else its parent's."""
    if _spans is None:
        with _within(parent or about.get("root")):
            yield current()
        return
    with _spans.span(Step(name, parent, **about)) as context, _within(context):
        yield context


@contextmanager
def _within(context: str | None) -> Iterator[None]:
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def named(_logger: object, _method: str, event: structlog.typing.EventDict) -> Any:
    """structlog's: the trace that a line of a log belongs to."""
    context = _current.get()
    if context is not None:
        event["trace_id"] = context[3:35]
    return event
