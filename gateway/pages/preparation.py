"""Preparation: a learner's chances over topics and difficulties, and what to practise next."""

from __future__ import annotations

from fastapi import Request
from nicegui import ui

from gateway import learners, prospects, words
from gateway.face import PAGE_SECONDS, Face, stored
from gateway.kept import Kept
from gateway.pages import fields, frame, parts, phrases
from gateway.pages.chances import Chances, instead
from gateway.pages.ranked import Ranked
from gateway.pages.task_form import knowing, learner
from gateway.pages.trouble import tried
from gateway.ranking import TARGET

SECONDS = 10.0


def add(face: Face) -> None:
    """The page at ``/dashboard/preparation``."""
    known = knowing(face)

    @ui.page("/preparation")
    async def show(request: Request, user: str = "", target: str = "", topics: str = "") -> None:
        with frame.page("Preparation", request) as who:
            parts.head()
            page = Preparation(face, who, known)
            page.build(user, fields.number(target, TARGET), topics)
            frame.pulse(page.refresh, SECONDS)


class Preparation:
    """One viewer's page; it asks for a forecast where something has changed."""

    def __init__(self, face: Face, who: frame.Viewer, known: Kept[words.Words]) -> None:
        self.face, self.who, self.known = face, who, known
        self.found: prospects.Prospects | None = None
        self.asked: tuple[object, ...] = ()
        self.turn, self.address = 0, ""

    def build(self, user: str, target: float, topics: str) -> None:
        """The form, the list, the heat map."""
        with ui.element("div").classes("practice"):
            with ui.element("section").classes("card"):
                parts.heading("Learner")
                self.user = learner(self.face, self.who, user)
                self.target = ui.number(
                    "Target chance of a right answer",
                    value=target,
                    min=0.01,
                    max=0.99,
                    step=0.05,
                    format="%.2f",
                    validation=lambda value: fields.problem(fields.CHANCES, value),
                ).props("outlined dense")
                self.part = ui.input("Only topics with", value=topics).props("outlined dense")
                for each in (self.user, self.part, self.target):
                    each.on("change", self.refresh, [])
                self.note = ui.label("").classes("soft two-lines").props("role=status")
            self.ranked = Ranked()
            self.chances = Chances(self.who)

    async def refresh(self) -> None:
        """Ask again where the learner, their completions, the topics or the version changed."""
        user_id = self.user.take() if self.user.value else None
        if user_id is None:
            return
        self.turn += 1
        turn, part = self.turn, (self.part.value or "").strip()
        trouble = await self._look(user_id, part)
        if turn == self.turn and not self.note.is_deleted:
            self._tell(user_id, part, trouble)

    async def _look(self, user_id: str, part: str) -> str:
        """Bring what is known up to date; what stands in the way of it, or ""."""
        engine = self.face.tasks.engine
        known, unknown = await tried(self.face, self.who, self.known.get())
        read = stored(learners.newest_number, engine, user_id, seconds=PAGE_SECONDS)
        newest, away = await tried(self.face, self.who, read)
        asked = (user_id, part, newest, known.version if known else None)
        if asked[:2] != self.asked[:2]:
            self.found = None
        if away or (self.found is not None and asked == self.asked):
            return away or unknown
        self.asked = asked
        look = prospects.look(self.face, user_id, known, part)
        self.found, away = await tried(self.face, self.who, look)
        return away or unknown

    def _tell(self, user_id: str, part: str, trouble: str) -> None:
        target = TARGET if self.target.error else float(self.target.value)
        suggested = self.found.suggested(target) if self.found else []
        words = trouble or instead(self.found, part)
        self.note.text = words if suggested else ""
        done = self.found.done if self.found else None
        self.user.hint = "" if done is None else phrases.so_far(done, learners.REMEMBERED)
        self.ranked.fill(user_id, suggested, words)
        self.chances.fill(self.found, suggested)
        values = {"user": user_id, "topics": part, "target": f"{target:g}"}
        self._go(parts.address("preparation", **values))

    def _go(self, address: str) -> None:
        """Let the address say what is shown."""
        if address != self.address:
            self.address = address
            ui.navigate.history.replace(f"/dashboard{address}")
