"""What moved a prediction, in sentences and as bars."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from gateway import inquiries
from gateway.face import Face
from gateway.pages.frame import Viewer
from gateway.pages.parts import heading
from gateway.pages.trouble import tried
from gateway.practice import Task
from schemas.replies import Effect
from schemas.replies import Why as Reply

MOST = 8
NOTHING = "Nothing stands out: no single reason moves it by half a percentage point."
BARS = "Each bar: the chance as predicted, less the chance without it, in percentage points."


class Why:
    """A dialog; ``show`` asks inference and fills it."""

    def __init__(self, face: Face, who: Viewer) -> None:
        self.face, self.who = face, who
        with (
            ui.dialog().props('aria-label="Why this prediction"') as self.dialog,
            ui.element("div").classes("card dialog"),
        ):
            heading("Why this prediction")
            self.words = ui.label("").classes("prose sentences").props("role=status")
            self.effects = ui.element("ol").classes("effects")
            self.note = ui.label("").classes("soft prose")
            ui.button("Close", on_click=self.dialog.close).props("flat no-caps").classes("self-end")

    async def show(self, task: Task) -> None:
        """Open at once, and tell when the answer is there."""
        self.words.text, self.note.text = "Asking inference.", ""
        self.effects.clear()
        self.dialog.open()
        why, trouble = await tried(self.face, self.who, inquiries.why_of(self.face, task.id))
        if self.dialog.is_deleted:
            return
        if why is None:
            self.words.text = trouble
            return
        self.words.text = "\n".join(map(sentence, why.words)) or NOTHING
        self.note.text = f"{BARS} {teller(task, why)}"
        with self.effects:
            self._fill(bars(why.effects, self.who))

    def _fill(self, shown: Sequence[tuple[str, float]]) -> None:
        longest = max((abs(points) for _, points in shown), default=1.0)
        for name, points in shown:
            with ui.element("li"):
                ui.label(name)
                ui.label(signed(points, 1)).classes("points")
                with ui.element("div").classes("track").props("aria-hidden=true"):
                    bar = ui.element("div").classes(f"bar-of {'rises' if points > 0 else 'falls'}")
                    bar.style(f"width: {abs(points) / longest * 100:.0f}%")


def bars(effects: Sequence[Effect], who: Viewer) -> list[tuple[str, float]]:
    """PURE: the strongest effects by name, in percentage points, the strongest first."""
    named = [(_name(each, who), round(each.p_change * 100, 1)) for each in effects]
    return [(name, points) for name, points in named if points][:MOST]


def _name(effect: Effect, who: Viewer) -> str:
    if effect.is_correct is None or effect.completed_at is None:
        return f"{effect.name[:1].upper()}{effect.name[1:]}"
    word = "right" if effect.is_correct else "wrong"
    return f"{effect.name}: {word} at {who.clock(effect.completed_at, '%H:%M')}"


def signed(value: float, digits: int) -> str:
    """PURE: with its sign, the typographic one."""
    return f"{value:+.{digits}f}".replace("-", "−")


def sentence(words: str) -> str:
    """PURE: one of inference's lines, "what: change", as a sentence."""
    what, _, change = words.rpartition(": ")
    return f"{what[:1].upper()}{what[1:]}: {change.replace('-', '−')}"


def teller(task: Task, why: Reply) -> str:
    """PURE: which version explains, where another one has predicted."""
    if why.model_version == task.model_version:
        return f"By version {why.model_version}."
    return f"By version {why.model_version}, which serves now; {task.model_version} predicted."
