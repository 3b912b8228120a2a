"""The exported AsyncAPI document, validated by AsyncAPI's own parser, which npm brings once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ops import schemas_export
from tests import npm

SOURCE = Path(__file__).parents[1] / "asyncapi"


@pytest.fixture(scope="module")
def parser() -> Path:
    """A folder with validate.mjs and what it needs."""
    return npm.installed(SOURCE)


def validate(parser: Path, document: Path) -> subprocess.CompletedProcess[str]:
    argv = [
        npm.command("node", "runs AsyncAPI's parser"),
        str(parser / "validate.mjs"),
        str(document),
    ]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def test_the_document_has_no_errors(
    parser: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    schemas_export.write(tmp_path)
    found = validate(parser, tmp_path / "asyncapi.json")
    with capsys.disabled():  # warnings are for people, whether it passes or not
        print("\n" + found.stdout)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_parser_finds_errors(parser: Path, tmp_path: Path) -> None:
    schemas_export.write(tmp_path)
    path = tmp_path / "asyncapi.json"
    document: dict[str, Any] = json.loads(path.read_text())
    document["operations"]["streams-reads-task-completed"]["action"] = "swallow"
    path.write_text(json.dumps(document))
    found = validate(parser, path)
    assert found.returncode == 1
    assert "action" in found.stdout
