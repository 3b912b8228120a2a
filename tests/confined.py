"""A service as its container confines it: another user, no capabilities, a root that is read-only.

Writable is what the manifests mount: ``/tmp``, empty at first, and for the trainer the models. The
data folder of streams is below ``/tmp``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from schemas.settings import Settings
from tests.running import Service, environment

UID = "10001"
MODELS = "/srv"
ROOT = Path(__file__).parents[1]
CONFINE = """
set -e
root=$1 code=$2 python=$3 models=$4 mode=$5; shift 5
mount --bind / "$root"
mount -o remount,bind,ro "$root"
for each in /proc /dev; do mount --rbind "$each" "$root$each"; done
mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/root"
for each in "$code" "$python"; do
    mkdir -p "$root$each"
    mount --bind "$each" "$root$each"
    mount -o remount,bind,ro "$root$each"
done
mount -o remount,ro "$root/root"
mount --bind "$models" "$root/srv"
mount -o "remount,bind,$mode" "$root/srv"
cd "$root$code"
exec chroot "$root" setpriv --reuid "$0" --regid "$0" --clear-groups --no-new-privs \\
    --inh-caps=-all --bounding-set=-all env --chdir "$code" "$@"
"""


def possible() -> bool:
    """Whether this user may make a mount namespace."""
    if not all(map(shutil.which, ("unshare", "setpriv", "chroot"))):
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


class Confined(Service):
    """A real service process that can write nowhere else; ``folder`` holds its mounts."""

    def __init__(self, name: str, settings: Settings, folder: Path) -> None:
        self.root, self.models = folder / name, folder / "models"
        self.root.mkdir()
        self.models.mkdir(exist_ok=True)
        os.chown(self.models, int(UID), int(UID))
        self.folder = folder
        super().__init__(name, settings)

    def _start(self) -> subprocess.Popen[bytes]:
        self.log = self.folder / f"{self.name}.log"
        mode = "rw" if self.name == "trainer" else "ro"
        argv = ["unshare", "--mount", "sh", "-c", CONFINE, UID]
        argv += [str(self.root), str(ROOT), sys.base_prefix, str(self.models), mode]
        argv += [sys.executable, "-B", "-m", "ops.cli", self.name]
        with self.log.open("ab") as log:
            env = {**environment(self.settings), "HOME": "/nonexistent", "MPLCONFIGDIR": "/tmp"}
            return subprocess.Popen(argv, env=env, stdout=log, stderr=log)

    def written(self) -> list[str]:
        """Files in its ``/tmp``."""
        seen = Path(f"/proc/{self.process.pid}/root/tmp")
        code = seen / ROOT.relative_to("/tmp") if ROOT.is_relative_to("/tmp") else None
        return sorted(
            str(each.relative_to(seen))
            for each in seen.rglob("*")
            if each.is_file() and not (code and each.is_relative_to(code))
        )
