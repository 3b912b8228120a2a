"""The Kubernetes manifests, rendered: known to Kubernetes, locked down, and of this system."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gateway import app as gateway
from gateway.sessions import SECRET_FILE
from schemas.settings import PREFIX, Settings
from streams import health
from streams.health import Health

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("single", "production")
SERVICES = ("streams", "trainer", "inference", "gateway")
KUBERNETES = ("1.34", "1.37")  # the oldest that is cared for, and the newest
Manifest = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    kubectl = shutil.which("kubectl")  # no package registry has it: not everybody can
    if kubectl is None:
        pytest.skip("kubectl is not installed; it renders the Kubernetes manifests")
    folder = FOLDER / "overlays" / overlay
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in rendered(overlay) if each["kind"] == kind}


def pods(
    overlay: str, kinds: Sequence[str] = ("Deployment", "Job")
) -> Iterator[tuple[str, Manifest, Manifest]]:
    """The name, pod and container of each service, and of the job."""
    for name, each in ((n, each) for kind in kinds for n, each in of_kind(overlay, kind).items()):
        pod = each["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, pod, container


def services(overlay: str) -> Iterator[tuple[str, Manifest, Manifest]]:
    return pods(overlay, ["Deployment"])


def port(service: str) -> int:
    return int(Settings.model_fields[f"{service}_port"].default)


def test_every_file_is_used() -> None:
    for folder in (FOLDER / "base", *(FOLDER / "overlays" / name for name in OVERLAYS)):
        text = (folder / "kustomization.yaml").read_text()
        for file in folder.iterdir():
            assert file.name == "kustomization.yaml" or file.name in text, file
    assert {each.name for each in (FOLDER / "overlays").iterdir()} == set(OVERLAYS)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_knows_every_field(overlay: str, version: str) -> None:
    for each in rendered(overlay):
        kubernetes_validate.validate(each, version, strict=True)


def test_it_would_tell_an_unknown_field() -> None:
    wrong = {**of_kind("single", "Service")["gateway"], "spek": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_service_runs_its_command_on_its_port(overlay: str) -> None:
    found = {name: container for name, _, container in services(overlay)}
    assert set(found) == set(SERVICES)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, container in found.items():
        assert container["args"] == [name]
        assert container["ports"] == [{"name": "http", "containerPort": port(name)}]
        assert container["image"] == f"retrace:{version}"
        (door,) = of_kind(overlay, "Service")[name]["spec"]["ports"]
        assert (door["port"], door["targetPort"]) == (port(name), "http")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_exists_and_holds(overlay: str) -> None:
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    (config,) = of_kind(overlay, "ConfigMap").values()
    assert config["data"].keys() <= known.keys()
    for _, _, container in pods(overlay):
        given = {each["name"]: each for each in container["env"]}
        assert given.keys() <= known.keys()
        assert container["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
        plain = {name: each["value"] for name, each in given.items() if "value" in each}
        Settings(**{known[name]: value for name, value in {**config["data"], **plain}.items()})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_come_by_reference_only(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == {}
    for name, _, container in pods(overlay):
        secret = {each["name"] for each in container["env"] if "valueFrom" in each}
        assert f"{PREFIX}DATABASE_URL" in secret
        for each in container["env"]:
            field = Settings.model_fields[each["name"].removeprefix(PREFIX).lower()]
            assert "Secret" not in str(field.annotation) or each["name"] in secret
            if "valueFrom" in each:
                whose = "operators" if name == "prepare" else name
                assert each["valueFrom"]["secretKeyRef"]["name"] == f"retrace-{whose}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_health_says_on_these_paths_what_is_asked(overlay: str) -> None:
    for name, _, container in services(overlay):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container[probe]["httpGet"]
            assert asked["port"] == "http"
            if name == "gateway":
                assert asked["path"] in served()
            else:
                assert health._answer(Health(name), asked["path"])[0] in (200, 503)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_may_do_more_than_it_needs(overlay: str) -> None:
    for name, pod, container in pods(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert f"--uid {pod['securityContext']['runAsUser']}" in (ROOT / "Dockerfile").read_text()
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        may = container["securityContext"]
        assert may["readOnlyRootFilesystem"] is True
        assert may["allowPrivilegeEscalation"] is False
        assert may["capabilities"] == {"drop": ["ALL"]}
        writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
        own = {"trainer": {"/models"}, "streams": {"/data"}}.get(name, set())
        assert writable == {"/tmp"} | own


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_named_is_there(overlay: str) -> None:
    accounts, claims = of_kind(overlay, "ServiceAccount"), of_kind(overlay, "PersistentVolumeClaim")
    budgets = of_kind(overlay, "PodDisruptionBudget")
    assert set(budgets) == set(SERVICES)
    for name, each in of_kind(overlay, "Deployment").items():
        labels = each["spec"]["template"]["metadata"]["labels"]
        for selector in (of_kind(overlay, "Service")[name]["spec"]["selector"],
                         budgets[name]["spec"]["selector"]["matchLabels"]):  # fmt: skip
            assert selector.items() <= labels.items()
            assert selector["app.kubernetes.io/name"] == name
    for _, pod, container in pods(overlay):
        assert pod["serviceAccountName"] in accounts
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} == volumes.keys()
        used = [
            v["persistentVolumeClaim"]["claimName"]
            for v in volumes.values()
            if "persistentVolumeClaim" in v
        ]
        assert set(used) <= set(claims)


def test_gateways_sign_sessions_with_the_same() -> None:
    for overlay in OVERLAYS:
        (pod,) = (pod for name, pod, _ in services(overlay) if name == "gateway")
        (secret,) = (each["secret"] for each in pod["volumes"] if each["name"] == "sessions")
        assert secret["items"] == [{"key": "session-secret", "path": SECRET_FILE}]
        assert secret["optional"] is (overlay == "single")


def test_one_node_needs_no_shared_volume_and_production_does() -> None:
    modes = {
        o: of_kind(o, "PersistentVolumeClaim")["models"]["spec"]["accessModes"] for o in OVERLAYS
    }
    assert modes == {"single": ["ReadWriteOnce"], "production": ["ReadWriteMany"]}
    shared = {
        n for n, d in of_kind("production", "Deployment").items() if d["spec"]["replicas"] > 1
    }
    assert shared == set(SERVICES)


def test_a_pod_is_given_longer_than_its_gateway_drains() -> None:
    for name, pod, container in services("production"):
        given = {each["name"]: each.get("value") for each in container["env"]}
        seconds = float(given.get(f"{PREFIX}DRAIN_SECONDS") or 0)
        assert pod["terminationGracePeriodSeconds"] >= seconds + 30, name
        assert (seconds > 0) == (name == "gateway")


def test_a_job_makes_topics_and_tables_where_services_may_not() -> None:
    ((name, pod, container),) = pods("production", ["Job"])
    assert (name, container["args"], pod["restartPolicy"]) == ("prepare", ["prepare"], "OnFailure")
    (job,) = of_kind("production", "Job").values()
    assert job["spec"]["ttlSecondsAfterFinished"] > 0
    (streams,) = (c for name, _, c in services("production") if name == "streams")
    assert container["image"] == streams["image"]
    assert {each["name"] for each in container["env"]} == {each["name"] for each in streams["env"]}
    assert of_kind("single", "Job") == {}


@cache
def served() -> set[str]:
    """The gateway's paths."""
    made = gateway.create(Settings(kafka_bootstrap="none:9", database_url="postgresql://none/none"))
    return set(made.openapi()["paths"])
