"""The command line: help, exit codes, one-line errors, and what each command prints."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from rich.console import Console
from typer.testing import CliRunner

from gateway import in_force
from ops import cli, doctor, doctor_table, local, status_table
from ops.cli import app
from ops.findings import Check
from ops.last_words import last_words
from schemas.settings import Settings

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_runs_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RETRACE_{name.upper()}", raising=False)
    monkeypatch.setenv("RETRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RETRACE_HEALTH_HOSTS", "streams=http://127.0.0.1:9")


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["retrace", *arguments])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return int(exited.value.code or 0)


@pytest.mark.parametrize("path", commands(typer.main.get_command(app)), ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    assert len(result.output.splitlines()) > 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch"], "RETRACE_KAFKA_BOOTSTRAP is not set"),
        (["train"], "RETRACE_DATABASE_URL is not set"),
        (["forget", "--yes", "ada"], "RETRACE_DATABASE_URL is not set"),
        (["simulate", "--completions", "1"], "RETRACE_KAFKA_BOOTSTRAP is not set"),
    ],
)
def test_an_error_is_one_line_and_exit_code_1(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_main(monkeypatch, *arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"retrace: {words}")
    assert printed.err.count("\n") == 1


def test_a_wrong_setting_names_its_variable_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETRACE_TRAIN_EVERY", "many")
    assert run_main(monkeypatch, "status") == 1
    printed = capsys.readouterr().err
    assert printed.startswith("retrace: RETRACE_TRAIN_EVERY: ")
    assert "many" not in printed


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["status", "--fast"],
        ["simulate", "--rate", "much"],
        ["import"],
        ["simulate", "x"],
        ["replay"],
        ["replay", "--retrain", "--rebuild-store"],
        ["replay", "--rebuild-store", "--until", "2026-01-01"],
        ["replay", "--retrain", "--offsets", "0@1-2", "--from", "2026-01-01"],
        ["replay", "--retrain", "--from", "yesterday"],
        ["replay", "--retrain", "--from", "2026-01-02", "--until", "2026-01-01"],
        ["replay", "--dry-run", "--wait"],
        ["replay", "--retrain", "--resume"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_main(monkeypatch, *arguments) == 2


def test_a_file_without_the_columns_is_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.csv"
    file.write_text("a,b\n1,2\n")
    assert run_main(monkeypatch, "import", str(file)) == 2
    assert "response_time are missing" in capsys.readouterr().err


def test_status_says_what_is_missing_and_fails_with_1() -> None:
    result = CliRunner().invoke(app, ["status", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 1
    assert "RETRACE_DATABASE_URL is not set" in found["counter"]["error"]
    assert "RETRACE_KAFKA_BOOTSTRAP is not set" in found["lag"]["error"]
    assert found["model_files"]["versions"] == 0
    shown = CliRunner().invoke(app, ["status"])
    assert shown.exit_code == 1
    assert shown.stdout.count("RETRACE_DATABASE_URL is not set") == 1


def test_doctor_goes_through_every_check_and_fails_with_1() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    found = json.loads(result.stdout)
    states = {check["name"]: check["state"] for check in found["checks"]}
    assert (result.exit_code, found["ok"]) == (1, False)
    assert (states["settings"], states["kafka"], states["database"]) == ("ok", "fail", "fail")
    assert states["streams"] == "warn"


def test_doctor_stops_at_a_wrong_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_TRAIN_EVERY", "0")
    (check,) = doctor.run()
    assert (check.name, check.state) == ("settings", "fail")


def test_the_doctors_sum_counts_failures_and_warnings() -> None:
    well, warned = Check("a", "ok", ""), Check("b", "warn", "")
    failed = Check("c", "fail", "no", "mend it")
    assert doctor_table.summary([well]).plain == "All is well."
    assert doctor_table.summary([well, warned, failed]).plain == "1 failure, 1 warning."
    assert not doctor_table.is_well([well, failed])
    assert "→ mend it" in doctor_table.text(failed).plain


def test_settings_say_where_they_come_from_and_keep_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Settings(
        data_dir=tmp_path / "data",
        kafka_bootstrap="127.0.0.1:1",
        database_url=SecretStr("postgresql://u:geheim@h/n"),
    )
    (tmp_path / "data").mkdir()
    local.write(stack)
    monkeypatch.setenv("RETRACE_API_KEYS", "one,two")
    monkeypatch.setenv("RETRACE_MODEL_STORE", "s3://key:hidden@bucket/models")
    result = CliRunner().invoke(app, ["settings", "--json"])
    rows = {row["variable"]: row for row in json.loads(result.stdout)["settings"]}
    assert rows["RETRACE_KAFKA_BOOTSTRAP"]["source"] == "local stack"
    assert rows["RETRACE_DATABASE_URL"]["value"] == in_force.MASK
    assert rows["RETRACE_MODEL_STORE"]["value"] == f"s3://key:{in_force.MASK}@bucket/models"
    assert rows["RETRACE_API_KEYS"]["source"] == "environment"
    assert rows["RETRACE_TRAIN_EVERY"]["source"] == "default"
    assert not {"geheim", "hidden", "one", "two"} & set(result.stdout.replace(",", " ").split())
    assert len(rows) == len(Settings.model_fields)


def test_a_port_of_zero_is_what_the_local_stack_has_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Settings(data_dir=tmp_path, streams_port=4911, trainer_port=4912, gateway_port=4913)
    local.write(chosen)
    monkeypatch.setenv("RETRACE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RETRACE_STREAMS_PORT", "0")
    monkeypatch.setenv("RETRACE_TRAINER_PORT", "4000")
    found = local.settings()
    assert (found.streams_port, found.trainer_port, found.gateway_port) == (4911, 4000, 4913)
    second = local.of_service("streams")  # beside the stack's own
    assert (second.streams_port, second.trainer_port, second.gateway_port) == (0, 4000, 4913)
    assert local.of_service("gateway").gateway_port == 4913


def test_settings_as_markdown_is_the_readmes_table() -> None:
    result = CliRunner().invoke(app, ["settings", "--markdown"])
    assert result.stdout.startswith("| variable | default | meaning |")


def test_schemas_are_written_for_every_topic(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["schemas", "export", str(tmp_path / "out")])
    assert result.exit_code == 0
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert written["asyncapi.json"]["asyncapi"] == "3.0.0"
    assert "task_id" in written["task-completed.schema.json"]["properties"]


def test_status_and_help_start_without_the_heavy_libraries() -> None:
    heavy = {"tensorflow", "keras", "faust", "onnxruntime"}
    code = (
        "import sys; from ops import cli, status_table; import gateway.status;"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


STATUS: dict[str, Any] = {
    "counter": {"completions": 1233, "since_last_request": 3, "every": 5},
    "windows": {
        "generation": 1, "counted": 1233, "gaps": 0, "total": 1233, "kept": 2, "open": 3,
        "late": 1, "expired": 0, "window_seconds": 60, "newest": [],
    },
    "train_requests": {"published": 3, "superseded": 1},
    "last_training": {
        "request_id": "count-1230", "state": "published", "reason": None, "version": 3,
        "ended_at": (NOW - timedelta(minutes=5)).isoformat(),
    },
    "serving": {
        "version": 3, "completions": 1230, "trained_at": NOW.isoformat(),
        "held_since": (NOW - timedelta(hours=2)).isoformat(),
        "metrics": {"log_loss": 0.58, "topic_difficulty": {"log_loss": 0.61}},
    },
    "model_files": {"store": "/models", "versions": 3, "bytes": 3 * 1_048_576},
    "lag": {"retrace-record": 0, "retrace-trainer": None},
    "dead_letters": 2,
    "services": {
        "streams": {"ready": True, "dependencies": {}},
        "trainer": {
            "ready": False,
            "dependencies": {"kafka": {"ok": False, "detail": "away"}, "store": {"ok": True}},
        },
    },
}  # fmt: skip


def shown(status: dict[str, Any]) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(status_table.table(status, NOW))
    return capture.get()


def test_status_shows_every_part_in_words() -> None:
    text = shown(STATUS)
    for words in (
        "●●●○○ 3/5   1 233 completions",
        "total 1 233 of 1 233 counted",
        "3 published, 1 superseded",
        "count-1230 published as version 3, 5 min ago",
        "version 3, held for 2 h, trained",
        "log loss 0.580 (topic × difficulty 0.610)",
        "3 versions, 3.0 MB, in /models",
        "record 0, trainer –",
        "● streams   ready",
        "○ trainer   waits for kafka: away",
    ):
        assert words in text
    assert not status_table.has_errors(STATUS)


def test_status_shows_what_is_away_and_a_system_that_has_done_nothing_yet() -> None:
    fresh = {**STATUS, "last_training": None, "serving": None, "train_requests": {}}
    assert "predictions are the default" in shown(fresh)
    away = {**STATUS, "lag": {"error": "Kafka does not answer"}}
    assert "Kafka does not answer" in shown(away)
    assert status_table.has_errors(away)
    down = {**STATUS, "services": {"streams": {"ready": False, "error": "refused"}}}
    assert status_table.has_errors(down)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("one\nretrace: Port 1 is taken.\n\n", "Port 1 is taken."),
        ('{"event": "waiting", "because": "away", "level": "warning"}\n', "waiting: away"),
        ('{"event": "failed", "exception": "Trace\\nValueError: x"}', "failed: ValueError: x"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_services_last_words_are_found_in_its_log(tmp_path: Path, log: str, words: str) -> None:
    path = tmp_path / "service.log"
    path.write_text(log)
    assert last_words(path) == words
    assert last_words(tmp_path / "none.log") == ""
