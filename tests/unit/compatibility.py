"""What a change of the AsyncAPI document breaks, and for whom.

Unknown fields are ignored and new ones optional, so objects are compared by the fields that were
there. Whether a field still takes what it took is jsonschema-rs's to prove; what it cannot prove
counts as broken. Narrower breaks who writes by the old document, and what the log still holds.
Wider breaks who reads by it; it is allowed where others write, since Retrace is the reader there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from jsonschema_rs import Draft7, canonicalize
from jsonschema_rs.canonical import Containment

Schema = Mapping[str, Any]
PLACE = "#/components/schemas/"
WORDS = frozenset({"description", "examples", "title", "default"})
PARTS = frozenset({"properties", "required", "items"})
GONE = "is gone: breaks who reads or writes it"
OTHER = "is another: breaks who relies on it"
NARROWER = "takes less: breaks who writes it, and what the log still holds"
WIDER = "may hold more: breaks who reads it, an older Retrace among them"
NEEDED = "is required now: breaks who writes without it, and what the log still holds"
MISSING = "may be missing now: breaks who reads it"


class Change(NamedTuple):
    """Something that breaks others: where, what and for whom, before and after."""

    where: str
    what: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        change = "" if self.before == self.after else f" ({self.before} -> {self.after})"
        return f"{self.where} {self.what}{change}"


def breaking(old: Schema, new: Schema, others_write: Collection[str] = ()) -> list[Change]:
    """Every change that breaks others; ``others_write`` are the channels where wider is allowed."""
    found: list[Change] = []
    for name, before in old["channels"].items():
        after = new["channels"].get(name)
        if after is None:
            found.append(Change(name, GONE))
        else:
            found += _same(f"{name}: its topic", _promises(before), _promises(after))
            found += _messages(_Pair(old, new, name in others_write), before, after)
    return found


def _promises(channel: Schema) -> dict[str, Any]:
    """What others rely on beside the messages."""
    kafka = channel["bindings"]["kafka"]
    limits = {n: v for n, v in kafka["topicConfiguration"].items() if n != "max.message.bytes"}
    return {"address": channel["address"], "partitions": kafka["partitions"], **limits}


def _same(where: str, before: Any, after: Any) -> Iterator[Change]:
    if before != after:
        yield Change(where, OTHER, *_differing(before, after))


def _messages(pair: _Pair, before: Schema, after: Schema) -> Iterator[Change]:
    for name in before["messages"]:
        if name not in after["messages"]:
            yield Change(name, GONE)
            continue
        old, new = (document["components"]["messages"][name] for document in (pair.old, pair.new))
        for what in ("contentType", "correlationId"):
            yield from _same(f"{name}: {what}", old.get(what), new.get(what))
        yield from _same(f"{name}: the key", *(_plain(_key(message)) for message in (old, new)))
        yield from pair.walk(f"{name} header", old["headers"], new["headers"])
        yield from pair.walk(name, old["payload"], new["payload"])


def _key(message: Schema) -> Schema:
    found: Schema = message.get("bindings", {}).get("kafka", {}).get("key", {})
    return found


@dataclass(frozen=True)
class _Pair:
    """The documents that references point into."""

    old: Schema
    new: Schema
    others_write: bool

    def walk(self, where: str, old: Schema, new: Schema) -> Iterator[Change]:
        """Compare two schemas of one value: as a whole, then part by part."""
        old, new = _resolved(self.old, old), _resolved(self.new, new)
        if "default" in old:
            yield from _same(f"{where}: the default", old["default"], new.get("default"))
        befores, afters = _choices(self.old, old), _choices(self.new, new)
        yield from self._value(where, befores, afters)
        for before in befores:
            after = next((one for one in afters if one.get("type") == before.get("type")), {})
            yield from self._fields(where, before, after)
            if "items" in before:
                yield from self.walk(f"{where}[]", before["items"], after.get("items", {}))

    def _value(self, where: str, old: list[Schema], new: list[Schema]) -> Iterator[Change]:
        before, after = ({"anyOf": [_plain(one) for one in choices]} for choices in (old, new))
        told = _differing(*(_only(choices) for choices in (before, after)))
        if not _covers(after, before):
            yield Change(where, NARROWER, *told)
        if not self.others_write and not _covers(before, after):
            yield Change(where, WIDER, *told)

    def _fields(self, where: str, old: Schema, new: Schema) -> Iterator[Change]:
        needed, before = set(new.get("required", ())), set(old.get("required", ()))
        fields = new.get("properties", {})
        yield from (Change(f"{where}.{name}", NEEDED) for name in sorted(needed - before))
        for name, schema in old.get("properties", {}).items():
            if name not in fields:
                yield Change(f"{where}.{name}", GONE)
                continue
            if name in before - needed and not self.others_write:
                yield Change(f"{where}.{name}", MISSING)
            yield from self.walk(f"{where}.{name}", schema, fields[name])


def _resolved(document: Schema, schema: Schema) -> Schema:
    """What a reference points to, with what stands beside it."""
    around = schema.get("allOf", [{}])[0] if len(schema.get("allOf", ())) == 1 else schema
    if "$ref" not in around:
        return schema
    target = document["components"]["schemas"][around["$ref"].removeprefix(PLACE)]
    beside = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
    return {**_resolved(document, target), **beside}


def _choices(document: Schema, schema: Schema) -> list[Schema]:
    return [_resolved(document, one) for one in schema.get("anyOf", [schema])]


def _plain(schema: Schema) -> Schema:
    """What a schema demands of the value as a whole."""
    return {name: value for name, value in schema.items() if name not in WORDS | PARTS | {"anyOf"}}


def _only(choices: Schema) -> Any:
    one = choices["anyOf"]
    return one[0] if len(one) == 1 else choices


def _covers(wide: Schema, narrow: Schema) -> bool:
    """Whether one takes all that the other takes, as far as that can be proved."""
    if wide == narrow:
        return True
    both = (canonicalize(dict(schema), draft=Draft7) for schema in (wide, narrow))
    return next(both).covers(next(both)) is Containment.YES


def _differing(before: Any, after: Any) -> tuple[Any, Any]:
    """The entries in which two dicts differ; other values whole."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return before, after
    names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
    first, second = ({n: one[n] for n in names if n in one} for one in (before, after))
    return first, second
