"""PostgreSQL refuses to run as root: whom it runs as there, and what he must be able to read."""

from __future__ import annotations

import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from schemas.errors import MachineError

SYSTEM_USER = "pgserver"


def unprivileged_user() -> str:
    """Return the name of a user without rights, made if there is none."""
    with suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER).pw_name
    argv = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
    try:
        subprocess.run(argv, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        raise MachineError(
            f"PostgreSQL does not run as root, and the user {SYSTEM_USER} cannot be made. "
            "Start as another user."
        ) from None
    return SYSTEM_USER


def run_as(user: str | None, argv: list[str], stdin: str) -> subprocess.CompletedProcess[str]:
    """Run a program as that user, or as ourselves, in a folder that he may enter."""
    return subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def open_parents(path: Path) -> None:
    """Let everyone pass through (not list) the folders above ``path``."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def open_tree(root: Path) -> None:
    """Let everyone read the wheel's files, where they were installed for root alone."""
    if (root / "bin" / "postgres").stat().st_mode & stat.S_IROTH:
        return
    for path in [root, *root.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | (mode & 0o500) >> 6)
