"""Hypothesis strategies from the event types themselves: a new field is generated without a change.

What a model demands between its fields is added by hand, below ``_FITTED``.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, MaxLen
from hypothesis import strategies as st
from pydantic import AwareDatetime, StringConstraints
from pydantic.fields import FieldInfo

from schemas import events
from schemas.events import Event

Values = st.SearchStrategy[Any]
PLAIN = st.characters(exclude_characters="\x00", exclude_categories=("Cs",))
_OFFSETS = st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))

times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=_OFFSETS)
header_values = st.none() | st.binary(max_size=40)
headers = st.lists(st.tuples(st.text(PLAIN, min_size=1, max_size=20), header_values), max_size=6)


def events_of(event: type[Event]) -> st.SearchStrategy[Any]:
    """Valid events of a type, made through its own constructor."""
    fields = {name: _field(field) for name, field in event.model_fields.items()}
    values = st.fixed_dictionaries(fields).map(_FITTED.get(event, lambda given: given))
    return values.map(lambda given: event(**given))


def any_event() -> st.SearchStrategy[Any]:
    return st.one_of([events_of(event) for event in events.ALL])


def _field(field: FieldInfo) -> Values:
    rules: list[BaseMetadata] = []
    text: list[StringConstraints] = []
    for rule in field.metadata:
        if isinstance(rule, StringConstraints):
            text.append(rule)
        elif isinstance(rule, BaseMetadata):
            rules.append(rule)
    return _values(field.annotation, rules, text[0] if text else StringConstraints())


def _values(kind: Any, rules: list[BaseMetadata], text: StringConstraints) -> Values:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in (Union, types.UnionType):
        return st.one_of([_values(one, rules, text) for one in inner])
    if hasattr(kind, "__metadata__"):
        return _field(FieldInfo.from_annotation(kind))
    if origin is tuple:
        most = min([3, *(rule.max_length for rule in rules if isinstance(rule, MaxLen))])
        return st.lists(_values(inner[0], [], text), max_size=most).map(tuple)
    if isinstance(kind, type) and issubclass(kind, Event):
        return events_of(kind)
    return _SIMPLE[kind](rules, text)


def _texts(rules: list[BaseMetadata], text: StringConstraints) -> Values:
    if text.pattern is not None:
        ascii_only = st.characters(codec="ascii")
        return st.from_regex(str(text.pattern), fullmatch=True, alphabet=ascii_only)
    return st.text(PLAIN, min_size=text.min_length or 0, max_size=text.max_length)


def _integers(rules: list[BaseMetadata], text: StringConstraints) -> Values:
    return st.integers(*_bounds(rules))


def _floats(rules: list[BaseMetadata], text: StringConstraints) -> Values:
    low, high = _bounds(rules)
    above = any(isinstance(rule, Gt) for rule in rules)
    return st.floats(low, high, exclude_min=above, allow_nan=False, allow_infinity=False)


def _bounds(rules: list[BaseMetadata]) -> tuple[Any, Any]:
    low = [r.ge if isinstance(r, Ge) else r.gt for r in rules if isinstance(r, Ge | Gt)]
    high = [r.le for r in rules if isinstance(r, Le)]
    return (low[0] if low else None), (high[0] if high else None)


def _requests(given: dict[str, Any]) -> dict[str, Any]:
    """A request_id says its trigger."""
    trigger = given["trigger"]
    end = given["completions"] if trigger == "count" else given["request_id"][:100]
    return {**given, "request_id": f"{trigger}-{end}"}


_SIMPLE: dict[Any, Callable[[list[BaseMetadata], StringConstraints], Values]] = {
    str: _texts,
    int: _integers,
    float: _floats,
    bool: lambda rules, text: st.booleans(),
    type(None): lambda rules, text: st.none(),
    AwareDatetime: lambda rules, text: times,
}
_FITTED: dict[type[Event], Callable[[dict[str, Any]], dict[str, Any]]] = {
    events.TrainRequest: _requests
}
