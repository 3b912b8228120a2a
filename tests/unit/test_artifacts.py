import errno
import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import ArtifactError
from training.artifacts import FORMAT, inspect, list_versions, read, remove, write

FILES = {"time.onnx": b"t" * 5000, "time_model.keras": b"k" * 100}


def write_one(root: Path | str, name: str = "v1") -> tuple[str, str]:
    return write(str(root), name, FILES, {"sigma": 0.4})


def test_a_version_is_read_as_written(tmp_path: Path) -> None:
    path, sha256 = write_one(tmp_path / "models")
    found = read(str(tmp_path / "models"), path, sha256)
    assert {name: found.files[name] for name in FILES} == FILES
    assert found.metadata == {"sigma": 0.4}
    assert sorted(each.name for each in (tmp_path / "models").iterdir()) == ["v1"]


def test_a_store_that_can_t_rename() -> None:
    path, sha256 = write_one("memory://models")
    assert read("memory://models", path, sha256).files["time.onnx"] == FILES["time.onnx"]
    assert list_versions("memory://models") == ["v1"]
    remove("memory://models", "v1")
    assert list_versions("memory://models") == []


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def alter(file: Path) -> None:
    file.write_bytes(b"x" + file.read_bytes()[1:])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


@pytest.mark.parametrize(
    "name", ["time.onnx", "time_model.keras", "metadata.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", [truncate, alter, lengthen, Path.unlink])
def test_damage_is_found_and_the_file_is_named(tmp_path: Path, name: str, damage: Any) -> None:
    path, sha256 = write_one(tmp_path)
    damage(tmp_path / path / name)
    with pytest.raises(ArtifactError, match=name):
        read(str(tmp_path), path, sha256)


def test_another_manifest_is_refused(tmp_path: Path) -> None:
    path, _ = write_one(tmp_path)
    with pytest.raises(ArtifactError, match="not the one that was announced"):
        read(str(tmp_path), path, "0" * 64)


@pytest.mark.parametrize(
    "path", ["../v1", "/etc", "a/../../v1", "", ".", "a//b", "file:///etc", "a\\b"]
)
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "models"
    write_one(tmp_path)
    for refused in (
        lambda: read(str(root), path, "0" * 64),
        lambda: write_one(root, path),
        lambda: remove(str(root), path),
    ):
        with pytest.raises(ArtifactError, match="path"):
            refused()
    assert (tmp_path / "v1" / "manifest.json").exists()


def test_links_that_leave_the_root_are_refused(tmp_path: Path) -> None:
    path, sha256 = write_one(tmp_path / "elsewhere")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "v1").symlink_to(tmp_path / "elsewhere" / path)
    with pytest.raises(ArtifactError, match="leaves the root"):
        read(str(tmp_path / "models"), "v1", sha256)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"../x": {"sha256": "0" * 64, "size": 1}}, "path"),
        ({"time.onnx": {"sha256": "0" * 64, "size": 2**40}}, "most allowed"),
        ({"time.onnx": {}}, "unreadable"),
        ([], "unreadable"),
    ],
)
def test_a_manifest_that_asks_for_too_much(tmp_path: Path, entry: Any, message: str) -> None:
    write_one(tmp_path)
    content = json.dumps({"format": FORMAT, "files": entry}).encode()
    (tmp_path / "v1" / "manifest.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=message):
        read(str(tmp_path), "v1", hashlib.sha256(content).hexdigest())


def test_what_a_crash_left_is_replaced_and_never_listed(tmp_path: Path) -> None:
    for leftover in ("v1", ".v1.partial"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "junk").write_bytes(b"junk")
    assert list_versions(str(tmp_path)) == []
    path, sha256 = write_one(tmp_path)
    assert "junk" not in read(str(tmp_path), path, sha256).files
    assert [each.name for each in tmp_path.iterdir()] == ["v1"]
    assert not (tmp_path / "v1" / "junk").exists()


def test_versions_are_listed_and_removed(tmp_path: Path) -> None:
    assert list_versions(str(tmp_path / "none")) == []
    for name in ("v2", "v1"):
        write_one(tmp_path, name)
    assert list_versions(str(tmp_path)) == ["v1", "v2"]
    remove(str(tmp_path), "v1")
    remove(str(tmp_path), "v1")
    assert list_versions(str(tmp_path)) == ["v2"]


def test_a_version_tells_what_it_is_without_its_models(tmp_path: Path) -> None:
    path, sha256 = write_one(tmp_path)
    (tmp_path / path / "time.onnx").unlink()
    assert inspect(str(tmp_path), path) == (sha256, {"sigma": 0.4})
    alter(tmp_path / path / "metadata.json")
    with pytest.raises(ArtifactError, match=r"metadata\.json has been altered"):
        inspect(str(tmp_path), path)


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_folder_that_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    path, sha256 = write_one(tmp_path, "v0")
    with files_at_most(2000), pytest.raises(ArtifactError, match="v1 could not be written"):
        write_one(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["v0"]
    read(str(tmp_path), path, sha256)


class FullFileSystem(MemoryFileSystem):
    """A store whose disk is full from the second file on."""

    protocol = "full"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
        if self.store:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().pipe_file(path, value, **options)


def test_a_full_disk_is_said_in_plain_words() -> None:
    fsspec.register_implementation("full", FullFileSystem, clobber=True)
    with pytest.raises(ArtifactError, match="No space left on device"):
        write_one("full://models")
    assert FullFileSystem.store == {}


def test_an_unknown_kind_of_store() -> None:
    with pytest.raises(ArtifactError, match="can't be opened"):
        list_versions("nowhere://models")


def test_reading_needs_no_tensorflow() -> None:
    code = (
        "import sys, inference.predictor, training.artifacts, training.sequences;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'tf2onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
