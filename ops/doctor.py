"""`retrace doctor`: checks everything that Retrace needs, and says what to do about the rest."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Engine, text

from ops import doctor_kafka, local, status_table
from ops.findings import Check, Finding
from ops.kafka_jars import POM, find_java, kafka_version
from ops.machine import GIB
from schemas.errors import RetraceError
from schemas.settings import PREFIX, Settings, load
from streams import database
from streams.patience import first_line
from training import artifacts
from training.revisions import Revisions

AGREE_SECONDS = 10.0
ROOM = 2 * GIB


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
        ("kafka", doctor_kafka.reachable),
        ("topics", doctor_kafka.declared),
        ("permissions", doctor_kafka.permitted),
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


def _engine(settings: Settings) -> Engine:
    return database.connect(settings.database_url.get_secret_value(), "doctor")


def _database(settings: Settings) -> Finding:
    engine = _engine(settings)
    with engine.connect() as connection:
        release = connection.execute(text("SHOW server_version")).scalar_one().split()[0]
        found = connection.execute(text("SELECT to_regclass('alembic_version')")).scalar()
        query = text("SELECT version_num FROM alembic_version")
        revision = connection.execute(query).scalar() if found else None
    answers = f"PostgreSQL {release} answers"
    if revision == database.head():
        return "ok", f"{answers}; tables of revision {revision}", ""
    if database.is_later(revision):
        state = f"its tables are of revision {revision}, of a later version than this one"
        return "warn", f"{answers}; {state}", "Services may run on; upgrade those that are left."
    state = f"its tables are of revision {revision}" if revision else "it has no tables yet"
    advice = "Every service migrates it when it starts: `retrace up`, or `retrace streams`."
    return "warn", f"{answers}; {state}", advice


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
        return str(windows["error"])
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
    serving = Revisions(_engine(settings), settings.model_store_url()).serving()
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
            needs = state.get("dependencies", {}).items()
            waits = [f"{need}: {it['detail']}" for need, it in needs if not it["ok"]]
            yield Check(name, "fail", f"waits for {'; '.join(waits)}", "See above, and its log.")
        else:
            yield Check(name, "ok", "ready")
