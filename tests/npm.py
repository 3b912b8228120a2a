"""Packages of npm that tests use, installed once per user and lock file."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import platformdirs
import pytest

from ops.machine import locked, make_folder

INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")


def command(name: str, what_for: str) -> str:
    """Where a command is; without it the test is skipped, but not where CI runs it."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed; it {what_for}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return found


def installed(source: Path) -> Path:
    """A folder with a package's files and what its lock file names."""
    npm = command("npm", f"installs what {source.name} needs")
    files = sorted(path for path in source.iterdir() if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    root = platformdirs.user_cache_path("retrace")
    home, aside = root / f"{source.name}-{version}", root / f".{source.name}-{version}.partial"
    make_folder(root)
    with locked(root / f"{source.name}.lock"):
        if not home.exists():
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            for path in files:
                shutil.copy(path, aside)
            done = subprocess.run([npm, *INSTALL], cwd=aside, capture_output=True, text=True)
            assert done.returncode == 0, f"npm: {done.stderr[-800:]}"
            aside.rename(home)
    return home
