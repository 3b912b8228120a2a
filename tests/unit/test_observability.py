"""Alert rules and dashboard ask for what the services expose, and each alert says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import prometheus_client
import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import gateway.metrics
import inference.metrics
import streams.common_metrics
import streams.metrics
import training.meters
from schemas.settings import Settings
from tests.queries import FOLDER, Asked, asked, dashboard, panels, queries, rules

OURS = (
    streams.common_metrics,
    streams.metrics,
    training.meters,
    inference.metrics,
    gateway.metrics,
)
ALERTS = [rule for rule in rules() if "alert" in rule]
_LEGEND = re.compile(r"\{\{\s*\$?(?:labels\.)?(\w+)\s*\}\}")


def exposed() -> dict[str, frozenset[str]]:
    """Every sample's name that a service can expose, and its labels; those of the rules, too."""
    found = {rule["record"]: frozenset[str]() for rule in rules() if "record" in rule}
    found |= {"up": frozenset(), "process_resident_memory_bytes": frozenset()}
    metrics = [each for module in OURS for each in vars(module).values()]
    for metric in metrics:
        if isinstance(metric, MetricWrapperBase):
            names = REGISTRY._get_names(metric)
            found |= dict.fromkeys(names, frozenset(metric._labelnames))
    return found


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_metrics_and_labels_that_exist(query: str) -> None:
    known = exposed()
    for each in asked(query):
        assert each.metric in known, each.metric
        assert each.labels <= known[each.metric], each


def test_what_a_query_asks_for_is_found() -> None:
    query = 'sum by (a) (rate(x_total{b="1"}[5m])) / on (c) max(y) > 1 and absent(z offset 1h)'
    assert asked(query) == {
        Asked("x_total", frozenset("ab")),
        Asked("y", frozenset()),
        Asked("z", frozenset()),
    }
    quantile = "histogram_quantile(0.9, sum by (le, stage) (rate(x_bucket[5m])))"
    assert asked(quantile) == {Asked("x_bucket", frozenset({"stage"}))}


def test_legends_and_summaries_name_labels_that_their_query_gives() -> None:
    told = [(rule["expr"], rule["annotations"]["summary"]) for rule in ALERTS]
    for query, words in panels() + told:
        given = {label for each in asked(query) for label in each.labels} | {"job", "instance"}
        known = given.union(*(exposed()[each.metric] for each in asked(query)))
        assert set(_LEGEND.findall(words)) - {"value"} <= known, words


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_happens_what_to_do_and_where_to_read_on(alert: dict) -> None:
    assert alert["alert"].startswith("Retrace")
    assert alert["labels"]["severity"] in ("critical", "warning")
    words = alert["annotations"]
    assert set(words) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"docs/operations\.md#[a-z0-9-]+", words["runbook_url"])


def test_names_are_of_base_units_and_counters_end_in_total() -> None:
    for module in OURS:
        for metric in vars(module).values():
            if isinstance(metric, prometheus_client.Counter):
                assert f"{metric._name}_total" in REGISTRY._get_names(metric)
            if isinstance(metric, MetricWrapperBase):
                assert not re.search(r"_(ms|millis|milliseconds|minutes|percent|mb)$", metric._name)
                assert "user" not in " ".join(metric._labelnames)


def test_every_service_is_scraped_at_the_port_of_its_settings() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    found = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    for name, place in found.items():
        assert place["names"] == [name]
        assert place["port"] == Settings.model_fields[f"{name}_port"].default
    assert set(found) == {"streams", "trainer", "inference", "gateway"}
    assert config["rule_files"] == ["alerts.yml"]


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    sources = yaml.safe_load((FOLDER / "grafana" / "datasources.yml").read_text())["datasources"]
    known = {source["uid"] for source in sources}
    assert {panel["datasource"]["uid"] for panel in dashboard()["panels"]} == known
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))


def test_every_alerts_runbook_is_a_heading_of_the_operations_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    headings = re.findall(r"^#{2,3} (.+)$", page, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}
    named = {rule["annotations"]["runbook_url"].split("#")[1] for rule in ALERTS}
    assert named
    assert named <= anchors
