"""The supervisor with real processes: order, restarts, and no orphans however the parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.guardian import MARK, Guardian
from ops.processes import Group
from ops.supervisor import Process, Supervisor
from tests.servers import wait_until

REPOSITORY = str(Path(__file__).resolve().parents[2])
IDLE = "echo up $0 >> {log}; while :; do sleep 0.02; done"
POLITE = "trap 'echo stopped $0 >> {log}; exit 0' TERM; " + IDLE
STUBBORN = "trap '' TERM; " + IDLE
PARENT = """
import sys, time
from pathlib import Path
from ops.supervisor import Process, Supervisor
folder, guarded, script = Path(sys.argv[1]), sys.argv[2] == "guarded", sys.argv[3]
supervisor = Supervisor(guarded=guarded)
for name in ("first", "second"):
    argv = ["sh", "-c", script, name]
    supervisor.start(Process(name, argv, None, folder / f"{name}.out", stop_timeout=5.0))
while True:
    supervisor.poll()
    (folder / "pids.part").write_text(" ".join(map(str, supervisor.pids.values())))
    (folder / "pids.part").rename(folder / "pids")
    time.sleep(0.02)
"""


class Clock:
    """A clock that only moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as supervisor:
        yield supervisor


def shell(folder: Path, name: str, script: str, **options: object) -> Process:
    argv = ["sh", "-c", script.format(log=folder / "log"), name]
    return Process(name, argv, None, folder / f"{name}.out", **options)  # type: ignore[arg-type]


def lines(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_stops_in_reverse_order(tmp_path: Path, supervisor: Supervisor) -> None:
    for number, name in enumerate(("kafka", "store", "service"), 1):
        supervisor.start(shell(tmp_path, name, POLITE))
        wait_until(lambda number=number: len(lines(tmp_path)) == number)
    assert supervisor.stop() == []
    assert lines(tmp_path)[3:] == ["stopped service", "stopped store", "stopped kafka"]


def test_output_goes_to_the_log(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(shell(tmp_path, "talker", "echo out; echo err >&2; exec sleep 60"))
    log = tmp_path / "talker.out"
    wait_until(lambda: log.read_text().split() == ["out", "err"])


def test_kills_the_stubborn_after_its_timeout(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(shell(tmp_path, "polite", POLITE))
    pid = supervisor.start(shell(tmp_path, "stubborn", STUBBORN, stop_timeout=0.2))
    wait_until(lambda: len(lines(tmp_path)) == 2)
    assert supervisor.stop() == ["stubborn"]
    assert not runs(pid)


def test_stops_what_a_child_forked(tmp_path: Path, supervisor: Supervisor) -> None:
    supervisor.start(shell(tmp_path, "forker", "sleep 61 & echo $! >> {log}; wait"))
    wait_until(lambda: len(lines(tmp_path)) == 1)
    supervisor.stop()
    assert not runs(int(lines(tmp_path)[0]))


def test_uses_the_stop_signal(tmp_path: Path, supervisor: Supervisor) -> None:
    script = "trap 'echo int >> {log}; exit 0' INT; echo up >> {log}; while :; do sleep 0.02; done"
    supervisor.start(shell(tmp_path, "child", script, stop_signal=signal.SIGINT))
    wait_until(lambda: lines(tmp_path) == ["up"])
    assert supervisor.stop() == []
    assert lines(tmp_path) == ["up", "int"]


def test_restarts_with_growing_delay(tmp_path: Path) -> None:
    clock = Clock()
    delays: list[float | None] = []
    with Supervisor(clock=clock) as supervisor:
        supervisor.start(shell(tmp_path, "crasher", "exit 3"))
        for _ in range(8):
            (event,) = next_events(supervisor)
            assert (event.name, event.exit_code) == ("crasher", 3)
            delays.append(event.restart_in)
            assert supervisor.poll() == []
            clock.now += event.restart_in or 0
        assert delays == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_a_steady_run_resets_the_delay(tmp_path: Path) -> None:
    clock = Clock()
    with Supervisor(clock=clock) as supervisor:
        supervisor.start(shell(tmp_path, "child", "exec sleep 60"))
        for _ in range(3):
            clock.now += 61
            os.kill(supervisor.pids["child"], signal.SIGKILL)
            (event,) = next_events(supervisor)
            assert (event.exit_code, event.restart_in) == (-signal.SIGKILL, 0.5)
            clock.now += 0.5
            supervisor.poll()


def test_leaves_down_what_shall_not_restart(tmp_path: Path, supervisor: Supervisor) -> None:
    pid = supervisor.start(shell(tmp_path, "once", "exit 0", restart=False))
    (event,) = next_events(supervisor)
    assert (event.pid, event.exit_code, event.restart_in) == (pid, 0, None)
    assert supervisor.pids == {}
    assert supervisor.poll() == []


def test_a_program_that_vanished_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    clock = Clock()
    with Supervisor(clock=clock) as supervisor:
        supervisor.start(Process("gone", [str(program)], None, tmp_path / "out"))
        next_events(supervisor)
        program.unlink()
        clock.now += 10
        (event,) = supervisor.poll()
        assert (event.exit_code, event.restart_in) == (127, 1.0)


def test_a_large_log_makes_room(tmp_path: Path, supervisor: Supervisor) -> None:
    log = tmp_path / "child.out"
    with log.open("wb") as file:
        file.truncate(11 * 1024**2)
    supervisor.start(shell(tmp_path, "child", "exec sleep 60"))
    assert log.stat().st_size == 0
    assert log.with_suffix(".1").stat().st_size == 11 * 1024**2


def next_events(supervisor: Supervisor) -> list:
    events: list = []

    def poll() -> bool:
        events.extend(supervisor.poll())
        return bool(events)

    wait_until(poll)
    return events


@pytest.fixture
def run_parent(tmp_path: Path) -> Iterator[Callable[[str, str], tuple[int, list[int]]]]:
    """Start a supervising parent with two children; return its pid and theirs."""
    started: list[subprocess.Popen[bytes]] = []

    def run(guarded: str, script: str) -> tuple[int, list[int]]:
        script = script.format(log=tmp_path / "log")
        argv = [sys.executable, "-c", PARENT, str(tmp_path), guarded, script]
        env = os.environ | {"PYTHONPATH": REPOSITORY}
        started.append(subprocess.Popen(argv, env=env, start_new_session=True))
        wait_until(lambda: len(lines(tmp_path)) == 2 and (tmp_path / "pids").exists())
        return started[-1].pid, [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    yield run
    for parent in started:
        parent.kill()
        parent.wait()


def test_a_killed_parent_leaves_none_and_stops_in_order(tmp_path: Path, run_parent) -> None:
    parent, children = run_parent("guarded", POLITE)
    os.killpg(parent, signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)))
    assert lines(tmp_path)[2:] == ["stopped second", "stopped first"]


def test_a_killed_parent_without_guardian_leaves_none(tmp_path: Path, run_parent) -> None:
    if sys.platform != "linux":
        pytest.skip("the parent-death signal is Linux's")
    parent, children = run_parent("unguarded", POLITE)
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)))
    assert sorted(lines(tmp_path)[2:]) == ["stopped first", "stopped second"]


def test_a_killed_parent_leaves_no_daemon_of_a_child(tmp_path: Path, run_parent) -> None:
    script = "setsid sleep 62 & echo $! >> {log}; wait"
    parent, children = run_parent("guarded", script)
    daemons = [int(line) for line in lines(tmp_path)]
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children + daemons)))


def test_a_killed_guardian_is_replaced(tmp_path: Path, run_parent) -> None:
    parent, children = run_parent("guarded", POLITE)
    (guardian,) = guardians(parent)
    os.kill(guardian, signal.SIGKILL)
    wait_until(lambda: guardians(parent) not in ([guardian], []))
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children)))
    assert lines(tmp_path)[2:] == ["stopped second", "stopped first"]


def guardians(parent: int) -> list[int]:
    children = psutil.Process(parent).children()
    return [p.pid for p in children if runs(p.pid) and "ops.guardian" in p.cmdline()]


def test_the_guardian_leaves_at_bye() -> None:
    guardian = Guardian()
    process = psutil.Process(guardian.pid)
    wait_until(lambda: "ops.guardian" in process.cmdline())
    guardian.dismiss()
    assert not runs(guardian.pid)


def test_a_foreign_owner_of_the_pid_is_spared() -> None:
    victim = subprocess.Popen(["sleep", "63"], start_new_session=True)
    group = Group(victim.pid, signal.SIGTERM, 1.0)
    group._leader._create_time = 1.0
    group._leader._ident = (victim.pid, 1.0)
    assert group.stop() is False
    assert runs(victim.pid)
    victim.kill()
    victim.wait()


def test_children_carry_the_mark(tmp_path: Path, supervisor: Supervisor) -> None:
    pid = supervisor.start(shell(tmp_path, "child", "exec sleep 60"))
    wait_until(lambda: len(psutil.Process(pid).environ().get(MARK, "")) == 32)
