"""The exported AsyncAPI document, validated by AsyncAPI's own parser, which npm brings once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from ops import schemas_export
from ops.machine import locked, make_folder

SOURCE = Path(__file__).parents[1] / "asyncapi"
INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")


def command(name: str) -> str:
    """Where a command is; without it the test is skipped, but not where CI runs it."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed; it runs AsyncAPI's parser"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


@pytest.fixture(scope="module")
def parser() -> Path:
    """A folder with validate.mjs and what it needs, once per user and version of both."""
    npm, files = command("npm"), sorted(path for path in SOURCE.iterdir() if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    root = platformdirs.user_cache_path("retrace")
    home, aside = root / f"asyncapi-{version}", root / f".asyncapi-{version}.partial"
    make_folder(root)
    with locked(root / "asyncapi.lock"):
        if not home.exists():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            for path in files:
                shutil.copy(path, aside)
            done = subprocess.run([npm, *INSTALL], cwd=aside, capture_output=True, text=True)
            assert done.returncode == 0, f"npm could not install the parser: {done.stderr[-800:]}"
            aside.rename(home)
    return home


def validate(parser: Path, document: Path) -> subprocess.CompletedProcess[str]:
    argv = [command("node"), str(parser / "validate.mjs"), str(document)]
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
