"""A version's files below a root that fsspec can reach: written aside, read only when they verify.

A version is a directory; its ``manifest.json`` holds the SHA-256 and size of every file and is
written last, so a directory without one was never finished. The manifest's own hash travels in the
event. Nothing is unpickled. Imports no TensorFlow, since serving reads here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas.errors import ArtifactError
from schemas.settings import masked

MANIFEST = "manifest.json"
METADATA = "metadata.json"
NEWEST_COMPLETED_AT = "newest_completed_at"  # in the metadata: of what it learned, Unix seconds
LARGEST_FILE = 512 * 1024 * 1024
LARGEST_MANIFEST = 1024 * 1024
FORMAT = 2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Artifact:
    """A version whose every byte has been verified."""

    path: str
    files: Mapping[str, bytes]
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class _Store:
    fs: Any
    root: str

    def at(self, path: str, *names: str) -> str:
        """An address below the root; ArtifactError for anything else."""
        parts = path.split("/")
        if not all(NAME.fullmatch(part) for part in (*parts, *names)):
            raise ArtifactError(f"The model path {path!r} is not a plain path below the root.")
        full = "/".join((self.root.rstrip("/"), *parts, *names))
        if isinstance(self.fs, LocalFileSystem):
            inside = Path(full).resolve().is_relative_to(Path(self.root).resolve())
            if not inside:
                raise ArtifactError(f"The model path {path!r} leaves the root.")
        return full


def write(
    root_url: str, name: str, files: Mapping[str, bytes], metadata: Mapping[str, Any]
) -> tuple[str, str]:
    """Writes a version, in place of an unfinished one of the same name.

    Returns its path below the root and the SHA-256 of its manifest. Where the store refuses,
    nothing is left behind and ArtifactError says why.
    """
    store = _open(root_url)
    final = store.at(name)
    contents = {**files, METADATA: _json(metadata)}
    manifest = _json({"format": FORMAT, "files": {n: _entry(b) for n, b in contents.items()}})
    renames = isinstance(store.fs, LocalFileSystem)
    aside = f"{store.root.rstrip('/')}/.{name}.partial" if renames else final
    try:
        _fill(store.fs, aside, {**contents, MANIFEST: manifest})
        if renames:
            _clear(store.fs, final)
            store.fs.mv(aside, final, recursive=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            _clear(store.fs, aside)
        raise ArtifactError(
            f"Model version {name} could not be written to {masked(root_url)}: {_reason(error)}."
        ) from error
    return name, hashlib.sha256(manifest).hexdigest()


def read(root_url: str, path: str, sha256: str) -> Artifact:
    """A version's files in memory. ArtifactError names the file that is missing, too large, or not
    what the manifest says, or the manifest that is not what ``sha256`` says."""
    store = _open(root_url)
    content = _bytes(store, path, MANIFEST, LARGEST_MANIFEST)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactError(f"{path}/{MANIFEST} is not the one that was announced.")
    entries = _entries(path, content)
    files = {name: _verified(store, path, name, entry) for name, entry in entries.items()}
    return Artifact(path, files, _metadata(path, files))


def export(root_url: str, path: str, sha256: str, folder: Path) -> Path:
    """Copies a version, verified, below a folder of this machine; its directory there.

    Raises ArtifactError where it is damaged, is there already, or the folder refuses it.
    """
    files = read(root_url, path, sha256).files
    manifest = _bytes(_open(root_url), path, MANIFEST, LARGEST_MANIFEST)
    target = folder / path
    try:
        target.mkdir(parents=True)
        for name, content in {**files, MANIFEST: manifest}.items():
            (target / name).write_bytes(content)
    except OSError as error:
        raise ArtifactError(f"{target} could not be written: {_reason(error)}.") from error
    return target


def inspect(root_url: str, path: str) -> tuple[str, Mapping[str, Any]]:
    """The SHA-256 of a version's manifest as it stands, and its metadata, verified against it."""
    store = _open(root_url)
    content = _bytes(store, path, MANIFEST, LARGEST_MANIFEST)
    entries = {n: e for n, e in _entries(path, content).items() if n == METADATA}
    files = {name: _verified(store, path, name, entry) for name, entry in entries.items()}
    return hashlib.sha256(content).hexdigest(), _metadata(path, files)


def remove(root_url: str, path: str) -> None:
    """Deletes a version, its manifest first; one that is gone already is no error."""
    store = _open(root_url)
    manifest, folder = store.at(path, MANIFEST), store.at(path)
    try:
        if store.fs.exists(manifest):
            store.fs.rm_file(manifest)
        _clear(store.fs, folder)
    except OSError as error:
        raise ArtifactError(f"{path} could not be removed: {_reason(error)}.") from error


def list_versions(root_url: str) -> list[str]:
    """The finished versions directly below the root, by name."""
    store = _open(root_url)
    try:
        found = store.fs.ls(store.root, detail=False)
        names = [str(each).rstrip("/").rsplit("/", 1)[-1] for each in found]
        finished = [
            n for n in names if NAME.fullmatch(n) and store.fs.exists(store.at(n, MANIFEST))
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtifactError(f"{masked(root_url)} could not be listed: {_reason(error)}.") from error
    return sorted(finished)


def _open(root_url: str) -> _Store:
    try:
        fs, root = fsspec.core.url_to_fs(root_url)
    except (ImportError, ValueError) as error:
        raise ArtifactError(
            f"The model store {masked(root_url)} can't be opened: {masked(str(error))}"
        ) from error
    return _Store(fs, root)


def _fill(fs: Any, folder: str, contents: Mapping[str, bytes]) -> None:
    """In the order given, so that the manifest comes last."""
    _clear(fs, folder)
    fs.makedirs(folder, exist_ok=True)
    for name, content in contents.items():
        fs.pipe_file(f"{folder}/{name}", content)


def _clear(fs: Any, folder: str) -> None:
    fs.invalidate_cache()
    if fs.exists(folder):
        fs.rm(folder, recursive=True)


def _entry(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def _json(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, indent=1, allow_nan=False).encode()


def _entries(path: str, content: bytes) -> dict[str, tuple[str, int]]:
    try:
        data = json.loads(content)
        if data["format"] != FORMAT:
            raise ArtifactError(f"{path} has format {data['format']}; this release reads {FORMAT}.")
        return {n: (str(e["sha256"]), int(e["size"])) for n, e in data["files"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}/{MANIFEST} is unreadable.") from error


def _metadata(path: str, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    try:
        return dict(json.loads(files[METADATA]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}/{METADATA} is missing or unreadable.") from error


def _verified(store: _Store, path: str, name: str, entry: tuple[str, int]) -> bytes:
    sha256, size = entry
    if size > LARGEST_FILE:
        raise ArtifactError(f"{path}/{name} has {size} bytes; {LARGEST_FILE} are the most allowed.")
    content = _bytes(store, path, name, size)
    if len(content) < size:
        raise ArtifactError(f"{path}/{name} is truncated: {len(content)} of {size} bytes.")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactError(f"{path}/{name} has been altered.")
    return content


def _bytes(store: _Store, path: str, name: str, most: int) -> bytes:
    full = store.at(path, name)
    try:
        with store.fs.open(full, "rb") as file:
            content = bytes(file.read(most + 1))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}/{name} is missing.") from error
    except OSError as error:
        raise ArtifactError(f"{path}/{name} could not be read: {_reason(error)}.") from error
    if len(content) > most:
        raise ArtifactError(f"{path}/{name} has more than {most} bytes.")
    return content


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
