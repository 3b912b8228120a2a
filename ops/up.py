"""`retrace up`: the whole system on this machine, and on the terminal what goes on in it.

Notable events stay as lines; below them, on a terminal, a board of the state. Where output is a
file or a pipe there is no board, and every event is a line.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from gateway import feed
from gateway.board import Board
from gateway.feed import Happening
from gateway.numerals import plural
from gateway.status import addresses
from ops import board, stack
from ops.interruption import Interruption
from ops.last_words import last_words
from ops.readiness import Readiness
from ops.stack import Stack
from ops.supervisor import Event, Process
from ops.up_view import View, farewell, timed, welcome
from schemas.events import Completions, Prediction, TrainingProgress, TrainRequest
from schemas.settings import Settings
from streams import database, declare
from streams.patience import first_line
from streams.store import Store
from training.revisions import Revisions

LEARNERS = "learners"
TICK_SECONDS = 0.1
AGAIN_SECONDS = 0.5
QUIET_SECONDS = 5.0


class Up:
    """One run of the stack: follows it, reports it, and says goodbye."""

    def __init__(self, running: Stack, view: View, interruption: Interruption) -> None:
        self.stack, self.view, self.interruption = running, view, interruption
        self.settings = running.settings
        self.board = Board(running.settings.train_every)
        self.happenings: queue.SimpleQueue[Happening | str] = queue.SimpleQueue()
        self.readiness: Readiness | None = None
        self.greeted: set[str] = set()
        self.is_ready = False

    def run(self, began: float, *, demo: bool) -> None:
        """Report until asked to stop."""
        declare.declare(self.settings)
        threading.Thread(target=self._follow, name="feed", daemon=True).start()
        self.interruption.patient = True
        self.readiness = Readiness(addresses(self.settings), began)
        if self.view.has_board:
            self.view.live.start()
        try:
            while not self.interruption.asked.is_set():
                self._turn(began, demo)
        finally:
            self.view.live.stop()
            self.readiness.stop()

    def _turn(self, began: float, demo: bool) -> None:
        for event in [*self.stack.events, *self.stack.supervisor.poll()]:
            self._ended(event)
        self.stack.events.clear()
        self._take()
        self._greet()
        if not self.is_ready and self.readiness and self.readiness.complete:
            self.is_ready = True
            self._welcome(time.monotonic() - began)
            if demo:
                self._start_learners()
        if self.view.has_board and self.readiness:
            self.view.live.update(board.draw(self.board, self.readiness.now), refresh=True)
        self.interruption.asked.wait(TICK_SECONDS)

    def _take(self) -> None:
        while True:
            try:
                happening = self.happenings.get_nowait()
            except queue.Empty:
                return
            if isinstance(happening, str):
                self.view.line("feed", happening, "yellow")
                continue
            self.board.apply(happening)
            if not self.view.has_board or _is_notable(happening):
                line = feed.line(happening.event, self.board.every)
                self.view.line(line.word, line.text, line.style, happening.at)

    def _follow(self) -> None:
        """Follow the topics; where Kafka stays away, say so once, and go on trying."""
        since, said = time.monotonic(), False
        while not self.interruption.asked.is_set():
            try:
                for happening in feed.follow(self.settings, self.interruption.asked):
                    self.happenings.put(happening)
                    since, said = time.monotonic(), False
            except Exception as error:
                if not said and time.monotonic() - since > QUIET_SECONDS:
                    self.happenings.put(f"{first_line(error)}; trying again")
                    said = True
                self.interruption.asked.wait(AGAIN_SECONDS)

    def _greet(self) -> None:
        """Say of each service that it is ready, once."""
        took = dict(self.readiness.took) if self.readiness else {}
        for name in [name for name in took if name not in self.greeted]:
            self.view.line("ready", timed(name, took[name]), "green")
        self.greeted |= took.keys()

    def _welcome(self, seconds: float) -> None:
        with suppress(Exception):  # the board is filled by events, too
            self._remember()
        for line in welcome(self.settings, seconds):
            self.view.plain(line)

    def _remember(self) -> None:
        """What earlier runs left: the count, and the version that serves."""
        engine = database.connect(self.settings.database_url.get_secret_value(), "up")
        self.board.count(*Store(engine).standing())
        serving = Revisions(engine, self.settings.model_store_url()).serving()
        if serving is not None:
            self.board.take(serving)
        engine.dispose()

    def _start_learners(self) -> None:
        learners, rate = self.settings.simulate_learners, self.settings.simulate_rate
        arguments = ["--learners", str(learners), "--rate", str(rate), "--seconds", "0"]
        argv = [sys.executable, "-m", "ops.cli", "simulate", *arguments]
        self.stack.supervisor.start(Process(LEARNERS, argv, None, self.stack.log_path(LEARNERS)))
        text = f"{plural(learners, 'simulated learner')}, {rate:g} tasks a second"
        self.view.line("demo", text, "cyan")

    def _ended(self, event: Event) -> None:
        log = self._log_path(event.name)
        again = "" if event.restart_in is None else f"; again in {event.restart_in:g} s"
        because = last_words(log)
        how = f"exit code {event.exit_code}" if event.exit_code >= 0 else _signal(event.exit_code)
        self.view.line("ended", f"{event.name} ({how}{again}): {because or log}", "bold red")

    def _log_path(self, name: str) -> Path:
        servers = {"kafka": self.stack.kafka, "postgres": self.stack.postgres}
        server = servers.get(name)
        return server.log_path if server else self.stack.log_path(name)


def run(settings: Settings, *, demo: bool) -> None:
    """Run the stack until SIGINT, SIGTERM or SIGHUP; then stop all and keep the data."""
    began = time.monotonic()
    view, interruption = View(), Interruption()
    view.plain(f"Retrace {version('retrace')}, data in {settings.data_dir.resolve()}")
    view.line("starting", f"{_servers(settings)}; {', '.join(stack.SERVICES)}")
    say = lambda text: view.line("starting", text)  # noqa: E731
    with stack.running(settings, say) as running:
        seconds = time.monotonic() - began
        if running.kafka or running.postgres:
            view.line("ready", timed(_servers(settings), seconds), "green")
        Up(running, view, interruption).run(began, demo=demo)
        view.plain()
        goodbye = threading.Thread(target=farewell, args=(view, running.supervisor.pids))
        goodbye.start()
    goodbye.join()
    view.plain(f"Stopped. The data stays in {settings.data_dir.resolve()}")


def _servers(settings: Settings) -> str:
    embedded = (
        (not settings.kafka_bootstrap, f"Kafka on port {settings.kafka_port}"),
        (
            not settings.database_url.get_secret_value(),
            f"PostgreSQL on port {settings.postgres_port}",
        ),
    )
    return " and ".join(text for here, text in embedded if here) or "with the configured servers"


def _is_notable(happening: Happening) -> bool:
    """Whether a line stays above the board, or the board says enough."""
    event = happening.event
    if isinstance(event, TrainingProgress):
        return event.state not in ("started", "epoch", "superseded")
    return not isinstance(event, Completions | Prediction | TrainRequest)


def _signal(exit_code: int) -> str:
    return f"signal {-exit_code}"
