"""`retrace doctor`: checks everything that Retrace needs, and says what to do about the rest."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]
from sqlalchemy import Engine, text

from ops import local, status_table
from ops.kafka_jars import POM, find_java, kafka_version
from ops.machine import GIB
from schemas import topics
from schemas.errors import RetraceError
from schemas.settings import PREFIX, Settings, load
from streams import kafka
from streams import store as database
from streams.patience import first_line
from training import artifacts
from training.registry import Registry

AGREE_SECONDS = 10.0
ROOM = 2 * GIB
State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One finding; ``advice`` says what to do where it is not ok."""

    name: str
    state: State
    detail: str
    advice: str = ""


Finding = tuple[State, str, str]


def run() -> Iterator[Check]:
    """Every check, one after the other; what makes later ones pointless ends the list."""
    try:
        settings = local.settings()
    except RetraceError as error:
        yield Check("settings", "fail", str(error), "Correct the variable.")
        return
    yield Check("settings", "ok", _sources(settings))
    yield from checks(settings)


def checks(settings: Settings) -> Iterator[Check]:
    """The checks of a configuration."""
    every: list[tuple[str, Callable[[Settings], Finding]]] = [
        ("disk", _disk),
        ("java", _java),
        ("kafka", _kafka),
        ("topics", _topics),
        ("permissions", _permissions),
        ("database", _database),
        ("counter", _counter),
        ("model store", _model_store),
        ("serving model", _serving),
    ]
    for name, check in every:
        yield _checked(name, check, settings)
    yield from _services(settings)


def _checked(name: str, check: Callable[[Settings], Finding], settings: Settings) -> Check:
    try:
        return Check(name, *check(settings))
    except RetraceError as error:
        return Check(name, "fail", str(error))
    except Exception as error:
        return Check(name, "fail", first_line(error))


def _sources(settings: Settings) -> str:
    set_here = len(settings.model_fields_set & load().model_fields_set)
    stack = " and the local stack" if (settings.data_dir / local.FILE).exists() else ""
    return f"{set_here} from the environment{stack}; `retrace settings` shows them"


def _disk(settings: Settings) -> Finding:
    folder = _existing(settings.data_dir.resolve())
    free = shutil.disk_usage(folder).free
    detail = f"{free / GIB:.1f} GiB free at {folder}"
    if free < GIB:
        return "fail", detail, f"Make room, or choose another folder with {PREFIX}DATA_DIR."
    return ("warn", detail, "Make room soon.") if free < ROOM else ("ok", detail, "")


def _existing(folder: Path) -> Path:
    return folder if folder.exists() else _existing(folder.parent)


def _java(settings: Settings) -> Finding:
    """Only the embedded Kafka needs Java, and Maven only before its first start."""
    if "kafka_bootstrap" in load().model_fields_set:
        return "ok", "not needed: Kafka is configured", ""
    java = find_java()
    import platformdirs

    fetched = (platformdirs.user_cache_path("retrace") / f"kafka-{kafka_version()}").exists()
    if not fetched and shutil.which("mvn") is None:
        return "fail", f"{java}, but no Maven to fetch Kafka with ({POM.name})", "Install Maven."
    return "ok", java + ("" if fetched else "; Kafka is fetched at the first start"), ""


def _kafka(settings: Settings) -> Finding:
    began = time.monotonic()
    kafka.partitions(kafka.admin(settings), 5.0)
    milliseconds = (time.monotonic() - began) * 1000
    return "ok", f"{settings.kafka_bootstrap} answers in {milliseconds:.0f} ms", ""


def _topics(settings: Settings) -> Finding:
    present = kafka.partitions(kafka.admin(settings), 5.0)
    declared = {settings.topic_prefix + topic.name: topic.partitions for topic in topics.ALL}
    missing = [name for name in declared if name not in present]
    wrong = [
        f"{name} has {present[name]} partitions, {count} are declared"
        for name, count in declared.items()
        if present.get(name, count) != count
    ]
    if wrong:
        advice = f"Counts are fixed once created: use another {PREFIX}TOPIC_PREFIX, or delete it."
        return "fail", "; ".join(wrong), advice
    if missing:
        advice = "Every service creates them when it starts: `retrace up`, or `retrace streams`."
        return "warn", f"missing: {', '.join(missing)}", advice
    return "ok", f"{len(declared)} as declared", ""


def _permissions(settings: Settings) -> Finding:
    """What the brokers say this client may do; nothing is written to find out."""
    from confluent_kafka import TopicCollection

    edge = kafka.admin(settings)
    present = kafka.partitions(edge, 5.0)
    names = [n for t in topics.ALL if (n := settings.topic_prefix + t.name) in present]
    if not names:
        return "warn", "no topic to ask about yet", "Start a service, then ask again."
    described = edge.describe_topics(
        TopicCollection(names), include_authorized_operations=True, request_timeout=10
    )
    lacking = [lack for name, future in described.items() if (lack := _lack(name, future))]
    if lacking:
        return "fail", "; ".join(lacking), "Grant this user READ, WRITE and DESCRIBE on them."
    return "ok", f"may read and write {len(names)} topics", ""


def _lack(name: str, future: Any) -> str:
    try:
        allowed = future.result().authorized_operations
    except KafkaException as error:
        return f"{name}: {error.args[0].str()}"
    wanted = {AclOperation.READ: "read", AclOperation.WRITE: "write"}
    missing = [word for operation, word in wanted.items() if operation not in (allowed or wanted)]
    return f"may not {' or '.join(missing)} {name}" if missing else ""


def _engine(settings: Settings) -> Engine:
    return database.connect(settings.database_url.get_secret_value(), "doctor")


def _database(settings: Settings) -> Finding:
    engine = _engine(settings)
    with engine.connect() as connection:
        release = connection.execute(text("SHOW server_version")).scalar_one().split()[0]
        found = connection.execute(text("SELECT to_regclass('alembic_version')")).scalar()
        query = text("SELECT version_num FROM alembic_version")
        revision = connection.execute(query).scalar() if found else None
    if revision != database.head():
        state = f"its tables are of revision {revision}" if revision else "it has no tables yet"
        advice = "Every service migrates it when it starts: `retrace up`, or `retrace streams`."
        return "warn", f"PostgreSQL {release} answers; {state}", advice
    return "ok", f"PostgreSQL {release} answers; tables of revision {revision}", ""


def _counter(settings: Settings) -> Finding:
    """Whether counter, windows and store agree; work under way gets some seconds to end."""
    deadline = time.monotonic() + AGREE_SECONDS
    while (wrong := disagreement(settings)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if wrong:
        advice = "Where `retrace streams` runs, it heals itself within seconds; see its log."
        return "fail", wrong, advice
    return "ok", "counter, windows and store agree", ""


def disagreement(settings: Settings) -> str:
    """What does not agree, or nothing."""
    with _engine(settings).connect() as connection:
        stored = connection.execute(text(_STORED)).one()
    windows = status_table.gather(settings)["windows"]
    if "error" in windows:
        raise RetraceError(windows["error"])
    if not stored.rows == stored.highest == stored.last:
        return (
            f"the store has {stored.rows} rows, highest number {stored.highest}, "
            f"and says {stored.last}"
        )
    if windows["gaps"]:
        return f"the counter has {windows['gaps']} gaps below {stored.last}"
    if windows["total"] != windows["counted"]:
        return f"the windows hold {windows['total']} of {windows['counted']} counted"
    if windows["counted"] < stored.last:
        return f"{windows['counted']} of {stored.last} recorded completions are counted"
    return ""


_STORED = """SELECT (SELECT count(*) FROM completions) AS rows,
    (SELECT coalesce(max(number), 0) FROM completions) AS highest,
    coalesce((SELECT last_number FROM numbering), 0) AS last"""


def _model_store(settings: Settings) -> Finding:
    url = settings.model_store_url()
    if "://" in url:
        return "ok", f"{len(artifacts.list_versions(url))} versions in {url}", ""
    folder = _existing(Path(url).resolve())
    if not os.access(folder, os.W_OK):
        return "fail", f"{folder} is not writable", "Let the trainer's user write there."
    return "ok", f"{len(artifacts.list_versions(url))} versions in {url}", ""


def _serving(settings: Settings) -> Finding:
    serving = Registry(_engine(settings), settings.model_store_url()).serving()
    if serving is None:
        return "ok", "no version yet; predictions are the default", ""
    artifact = artifacts.read(settings.model_store_url(), serving.artifact, serving.sha256)
    size = sum(map(len, artifact.files.values()))
    return "ok", f"version {serving.version} verifies, {size / 1e6:.1f} MB", ""


def _services(settings: Settings) -> Iterator[Check]:
    services = status_table.gather(settings)["services"]
    for name, state in services.items():
        if "error" in state:
            advice = f"Start it: `retrace {name}`, or everything with `retrace up`."
            yield Check(name, "warn", f"does not answer ({state['error']})", advice)
        elif not state.get("ready"):
            waits = [n for n, it in state.get("dependencies", {}).items() if not it["ok"]]
            yield Check(name, "fail", f"waits for {', '.join(waits)}", "See above, and its log.")
        else:
            yield Check(name, "ok", "ready")
