"""docker-compose.yml runs the services that exist, with settings that exist, and nothing open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.kafka_jars import kafka_version
from schemas.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
SERVICES = ("streams", "trainer", "inference", "gateway")
OBSERVING = ("prometheus", "grafana")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def test_every_service_runs_its_own_command(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"kafka", "postgres", *SERVICES, *OBSERVING}
    for name in SERVICES:
        assert compose["services"][name]["command"] == [name]


def test_every_setting_that_it_gives_exists(compose: dict[str, Any]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = set(compose["services"]["streams"]["environment"])
    assert {name for name in given if name.startswith(PREFIX)} <= known
    assert given - known == {"OTEL_EXPORTER_OTLP_ENDPOINT"}
    image = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"RETRACE_\w+", image)) <= known


def test_health_restart_and_volumes(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"], name
        assert service["volumes"], name
        volume = service["volumes"][0].split(":")[0]
        assert volume in compose["volumes"]


def test_services_write_only_to_their_mounts(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert (service["volumes"], service["tmpfs"]) == (["models:/data"], "/tmp")
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_health_checks_ask_the_ports_of_the_settings(compose: dict[str, Any]) -> None:
    for name in SERVICES:
        port = Settings.model_fields[f"{name}_port"].default
        assert f":{port}/healthz" in compose["services"][name]["healthcheck"]["test"][-1]


def test_only_what_people_look_at_is_published_and_only_here(compose: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {
        "gateway": ["127.0.0.1:4008:4008"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_who_observes_starts_only_with_the_profile(compose: dict[str, Any]) -> None:
    profiles = {name: s["profiles"] for name, s in compose["services"].items() if "profiles" in s}
    assert profiles == {name: ["observability"] for name in OBSERVING}
    for name in OBSERVING:
        mounts = [volume.split(":") for volume in compose["services"][name]["volumes"]]
        files = {source: mode for source, _, *mode in mounts if source.startswith("./")}
        assert set(map(str, files.values())) == {"['ro']"}
        assert all((ROOT / source).is_file() for source in files)


def test_passwords_come_from_the_environment(compose: dict[str, Any]) -> None:
    password = compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert password.startswith("${POSTGRES_PASSWORD:?")


def test_it_runs_the_kafka_that_the_tests_run(compose: dict[str, Any]) -> None:
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{kafka_version()}"


def test_the_image_holds_every_package() -> None:
    image = (ROOT / "Dockerfile").read_text()
    packages = re.search(r"packages = \[(.+)\]", (ROOT / "pyproject.toml").read_text())
    assert packages is not None
    for package in re.findall(r'"(\w+)"', packages[1]):
        assert f"COPY {package} ./{package}" in image
    assert "USER 10001:10001" in image


def test_constraints_pin_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", pin) for pin in pins)
