"""The cards of the machinery: what is wrong, services, lag, last errors."""

from __future__ import annotations

from nicegui import ui

from gateway.pages.frame import Viewer
from gateway.pages.overview import remarks, words
from gateway.pages.overview.parts import Fact, card, sentence
from gateway.pages.overview.snapshot import Snapshot
from gateway.pages.parts import state
from gateway.pages.rows import Cell, Rows
from gateway.troubles import Trouble


class Alarm:
    """What is wrong, since when, and what to do; or that nothing is."""

    def __init__(self, who: Viewer) -> None:
        self.who, self.shown = who, list[Trouble]()
        with card("State", "wide alarm"):
            self.head = ui.label(words.READING).classes("state").props('role="status"')
            self.list = ui.element("ul").classes("troubles")

    def show(self, seen: Snapshot) -> None:
        found, well = seen.troubles, "services" in seen.status
        self.head.text, name = remarks.verdict(len(found), well)
        state(self.head, name)
        if found != self.shown:
            self.shown = found
            self.list.clear()
            with self.list:
                for trouble in found:
                    self._tell(trouble)

    def _tell(self, trouble: Trouble) -> None:
        with ui.element("li"):
            ui.label(trouble.what).classes("what")
            if trouble.since is not None:
                seen = "Seen since" if trouble.seen else "Since"
                at = self.who.clock(trouble.since, "%Y-%m-%d %H:%M:%S")
                ui.label(f"{seen} {at}.").classes("soft")
            sentence(f"{trouble.todo} See “{trouble.see}” in `docs/operations.md`.")


class Services:
    """Every service's health."""

    def __init__(self, who: Viewer) -> None:
        self.who = who
        with card("Services"):
            self.rows = Rows("Services", ("service", "health", "since"))

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "services")
        found = {} if why else seen.status["services"]
        rows: list[list[Cell]] = [
            [(name, ""), remarks.health(each), (remarks.since(each, self.who.clock), "soft")]
            for name, each in found.items()
        ]
        self.rows.show(rows, why)


class Lag:
    """Messages that each group has not handled yet."""

    def __init__(self) -> None:
        with card("Lag"):
            self.rows = Rows("Lag", ("group", "messages behind"))

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "lag")
        found = {} if why else seen.status["lag"]
        rows = [[(each.removeprefix("retrace-"), ""), remarks.lag(n)] for each, n in found.items()]
        self.rows.show(rows, why)


class Letters:
    """How many dead letters are kept, and which came last."""

    def __init__(self) -> None:
        with card("Dead letters"):
            self.fact = Fact()

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "dead_letters")
        if why:
            self.fact.absent(why)
        else:
            self.fact.show(remarks.letters(seen.status["dead_letters"], seen.board, seen.at))


class Errors:
    """The last dead letters, and trainings that brought no version."""

    def __init__(self, who: Viewer) -> None:
        self.who = who
        with card("Last errors", "wide"):
            empty = "None. Dead letters and failed trainings appear here."
            self.rows = Rows("Last errors", ("time", "error"), empty=empty)

    def show(self, seen: Snapshot) -> None:
        why = words.absent(seen.status, "feed") or words.absent(seen.status, "failures")
        failures = seen.status.get("failures")
        told = remarks.errors(seen.board, failures if isinstance(failures, list) else ())
        rows: list[list[Cell]] = [
            [(self.who.clock(at, "%m-%d %H:%M:%S"), "soft"), (what, "")] for at, what in told
        ]
        self.rows.show(rows, why)
