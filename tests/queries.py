"""What alert rules and dashboard ask for: names of metrics and labels, from their PromQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import yaml

FOLDER = Path(__file__).parents[1] / "ops" / "observability"
PROMETHEUS_OWN = {"job", "instance", "le"}


class Asked(NamedTuple):
    """A metric that a query names, with every label that the query uses."""

    metric: str
    labels: frozenset[str]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    return dict(json.loads((FOLDER / "grafana" / "retrace.json").read_text()))


def panels() -> list[tuple[str, str]]:
    """Each query of the dashboard, with its legend."""
    targets = [target for panel in dashboard()["panels"] for target in panel["targets"]]
    return [(target["expr"], target.get("legendFormat", "")) for target in targets]


def queries() -> list[str]:
    """Every query of rules and panels."""
    return [rule["expr"] for rule in rules()] + [query for query, _ in panels()]


def scraped(exposition: str) -> set[str]:
    """The names of all samples that a service's exposition can hold."""
    found = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", exposition, re.MULTILINE):
        ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + end for end in ends}
    return found


def asked(query: str) -> set[Asked]:
    """What a query asks for. A label by which something is grouped belongs to what is grouped."""
    return set(_asked(promql.parse(query), frozenset()))


def _asked(node: Any, around: frozenset[str]) -> Iterator[Asked]:
    selector = getattr(node, "vector_selector", node)
    if isinstance(selector, promql.VectorSelector):
        own = frozenset(matcher.name for matcher in selector.matchers.matchers)
        yield Asked(selector.name, (own | around) - PROMETHEUS_OWN)
        return
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql.AggregateExpr):
        around = frozenset(modifier.labels if modifier else ())
    for each in _below(node):
        yield from _asked(each, around)


def _below(node: Any) -> list[Any]:
    found = [getattr(node, name, None) for name in ("lhs", "rhs", "expr")]
    return [each for each in [*found, *getattr(node, "args", ())] if isinstance(each, promql.Expr)]
