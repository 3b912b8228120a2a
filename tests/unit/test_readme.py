"""The README names every command, topic and setting; the settings' table is compared elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from ops.cli import app
from schemas import topics

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_command_is_in_the_readme() -> None:
    section = README.split("## Commands")[1].split("## Settings")[0]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    missing = [name for name in commands if not re.search(rf"`(retrace )?{name}\b", section)]
    assert missing == []


def test_every_topic_is_in_the_readme() -> None:
    for topic in topics.ALL:
        assert f"| `{topic.name}` | {_key(topic)} | {topic.partitions} |" in README


def test_its_make_targets_and_files_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"make (\w+)", README)) <= targets
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def _key(topic: topics.Topic) -> str:
    return "as received" if topic.event is None else topic.key or "–"
