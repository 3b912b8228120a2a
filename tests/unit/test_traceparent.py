"""Trace context without OpenTelemetry: it is handed on, and costs next to nothing."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

import streams
from schemas.codec import Bad, Message, Raw
from streams import traces

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def raw(context: str | None) -> Raw:
    headers = () if context is None else ((traces.HEADER, context.encode()),)
    return Raw("t", 0, 0, None, b"{}", headers)


def test_a_step_hands_on_what_came() -> None:
    message = Message("t", None, b"{}", [("ce_id", b"1")])
    with traces.span("step", SENT):
        assert traces.onto(message).headers == [("ce_id", b"1"), ("traceparent", SENT.encode())]
        assert traces.onto(message, OTHER).headers[-1] == ("traceparent", OTHER.encode())
    assert traces.current() is None
    assert traces.onto(message) == message


def test_a_context_ends_with_its_step_even_by_an_error() -> None:
    with pytest.raises(ValueError, match="no"), traces.span("step", SENT):
        raise ValueError("no")
    assert traces.current() is None


@pytest.mark.parametrize(
    "sent",
    [None, "", "nonsense", SENT.upper(), SENT + "0", SENT + "\n", SENT[:-1] + "é",
     "00-" + "0" * 32 + SENT[35:], SENT[:36] + "0" * 16 + "-01", "ff" + SENT[2:]],
)  # fmt: skip
def test_what_is_no_context_is_none(sent: str | None) -> None:
    assert traces.checked(sent) is None
    assert traces.carried(raw(sent).headers) is None


def test_headers_that_are_no_text_are_none() -> None:
    assert traces.carried((("traceparent", b"\xff"), ("x", None))) is None
    assert traces.carried((("traceparent", None),)) is None


def test_a_task_has_one_context_of_its_own() -> None:
    assert traces.of_task("a") == traces.of_task("a") == traces.checked(traces.of_task("a"))
    assert traces.of_task("a")[:35] != traces.of_task("b")[:35]


def test_a_batch_carries_its_newest_context() -> None:
    assert traces.newest([raw(OTHER), raw(SENT)]) == (SENT, [])
    assert traces.newest([]) == (None, [])


def test_a_dead_letter_keeps_the_context_it_came_with_and_gets_none() -> None:
    for sent in (SENT, None):
        with traces.span("step", OTHER):
            kept = dict(Bad(raw(sent), "s", "c", "m").headers(NOW))
        assert kept.get("traceparent") == (sent and sent.encode())


def test_a_line_of_the_log_names_its_trace() -> None:
    assert traces.named(None, "info", {}) == {}
    with traces.span("step", SENT):
        assert traces.named(None, "info", {}) == {"trace_id": SENT[3:35]}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streams.spans", None)
    monkeypatch.delattr(streams, "spans", raising=False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    said: list[str] = []
    monkeypatch.setattr(traces.log, "warning", said.append)
    traces.configure("tests")
    assert said == ["no spans are exported: install retrace[otel]"]
    assert not traces.are_exported()
