"""Brings Kafka's jars to this machine with Maven, once per user and version, and finds Java."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import platformdirs

from ops.machine import locked, make_folder
from schemas.errors import MachineError

POM = Path(__file__).with_name("kafka") / "pom.xml"
LOWEST_JAVA = 17
DOWNLOAD_SECONDS = 1800.0
JAVA_ADVICE = f"Kafka needs Java {LOWEST_JAVA} or newer"
NOISE = ("[Help", "re-run Maven", "To see the full", "For more information", "After correcting")


def kafka_version() -> str:
    """The version that the pom names."""
    match = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    assert match is not None
    return match[1]


def kafka_libraries(
    progress: Callable[[str], None], *, cache: Path | None = None, path: str | None = None
) -> Path:
    """Return the folder of Kafka's jars, fetched on first use.

    ``cache`` is this user's cache folder by default, ``path`` where to look for Maven and Java.
    Fetched aside and renamed below a lock: two processes never see half of it.
    """
    root = cache or platformdirs.user_cache_path("retrace")
    home = root / f"kafka-{kafka_version()}"
    if home.exists():
        return home
    find_java(path)
    make_folder(root)
    with locked(root / "kafka.lock"):
        if not home.exists():
            progress(f"Fetching Kafka {kafka_version()} with Maven, once (44 MB)")
            _fetch(home, path)
            progress(f"Kafka {kafka_version()} is in {home}")
    return home


def _fetch(home: Path, path: str | None) -> None:
    maven = shutil.which("mvn", path=path)
    if maven is None:
        raise MachineError("Maven (mvn) is not installed; it fetches Kafka. Install it once.")
    aside = home.with_name(f".{home.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={aside}"]
    argv = [maven, "-q", "-B", "-f", str(POM), *goal]
    try:
        result = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise MachineError("Maven did not finish fetching Kafka in half an hour.") from None
    if result.returncode or not aside.exists():
        raise MachineError(f"Maven could not fetch Kafka: {_reason(result.stdout, result.stderr)}")
    aside.rename(home)


def _reason(stdout: str, stderr: str) -> str:
    """The last line that says why, without addresses."""
    lines = [line.removeprefix("[ERROR]").strip() for line in (stdout + stderr).splitlines()]
    useful = [line for line in lines if line and not any(noise in line for noise in NOISE)]
    text = re.sub(r"\s*\(?\w+://[^\s)]+\)?", "", useful[-1] if useful else "no reason given")
    return text[:300]


def find_java(path: str | None = None) -> str:
    """Return the Java command; raises unless it is new enough."""
    java = shutil.which("java", path=path)
    if java is None:
        raise MachineError(f"Java is not installed; {JAVA_ADVICE}. Install it once.")
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    match = re.search(r'version "(?:1\.)?(\d+)', result.stderr + result.stdout)
    if match is None:
        raise MachineError(f"{java} does not say its version; {JAVA_ADVICE}.")
    if int(match[1]) < LOWEST_JAVA:
        raise MachineError(f"{java} is Java {match[1]}; {JAVA_ADVICE}.")
    return java
