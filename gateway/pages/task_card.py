"""The task that a learner has: its prediction, the clock, the answer, and how it went."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from gateway.face import Face
from gateway.pages import fields, phrases
from gateway.pages.frame import Viewer
from gateway.pages.parts import fact, heading
from gateway.pages.trouble import tried
from gateway.pages.why import Why
from gateway.practice import CompletedTask, Completion, Task, complete

EMPTY = "Ask for a task: the prediction, a clock and two buttons to answer with appear here."


class TaskCard:
    """``answered`` is called with each completed task, ``again`` for another one."""

    def __init__(
        self,
        face: Face,
        who: Viewer,
        answered: Callable[[CompletedTask], Awaitable[None]],
        again: Callable[[], Awaitable[None]],
    ) -> None:
        self.face, self.who, self.answered = face, who, answered
        self.task: Task | None = None
        self.open = False
        with ui.element("section").classes("card task"):
            heading("Your task")
            self.empty = ui.label(EMPTY).classes("empty")
            with ui.element("div").classes("card-body") as self.body:
                self._prediction()
                self._answer()
                self._outcome(again)
            self.body.visible = False
            self.why = Why(face, who)

    def _prediction(self) -> None:
        self.what = ui.label("").classes("what").props("tabindex=-1")
        with ui.element("div").classes("facts"):
            self.chance = fact("Right, predicted")
            with ui.element("div"):
                ui.label("Time, predicted").classes("soft")
                self.seconds = ui.label("").classes("big")
                self.interval = ui.label("").classes("soft")
        self.origin = ui.label("").classes("soft prose")
        ui.button("Why?", on_click=self._why).props("flat dense no-caps").classes("self-start")

    def _answer(self) -> None:
        self.answer = ui.element("div").classes("task-end")
        with self.answer:
            self._asked()

    def _asked(self) -> None:
        with ui.element("div").classes("row-of"):
            self.clock = ui.label("0:00").classes("practice-clock").props("role=timer")
            self.typed = ui.number("Seconds, if not the clock's", min=0).props("outlined dense")
        self.problem = ui.label("").classes("bad").props("role=alert")
        with ui.element("div").classes("row-of"):
            self._button("✓ Right", True, "positive")
            self._button("✗ Wrong", False, "negative")

    def _button(self, words: str, is_correct: bool, color: str) -> None:
        async def press(event: GenericEventArguments) -> None:
            await self._complete(is_correct, event.args)

        taken = f"() => emit(retraceClock.taken('{self.typed.html_id}'))"
        button = ui.button(words, color=color).props("no-caps unelevated")
        button.on("click", press, js_handler=taken)

    def _outcome(self, again: Callable[[], Awaitable[None]]) -> None:
        with ui.element("div").classes("task-end").props("aria-live=polite") as self.outcome:
            self.result = ui.label("").classes("what")
            self.beside = ui.label("").classes("prose")
            self.number = ui.label("").classes("soft")
            button = ui.button("Another one", on_click=again)
            button.props("no-caps unelevated").classes("self-start")

    def show(self, task: Task) -> None:
        """Give the learner this task; its clock runs from now on."""
        self.task, self.open = task, True
        self.empty.visible, self.body.visible = False, True
        self._turn(asks=True)
        self.what.text = f"{task.topic}, {task.difficulty}"
        self.chance.text = phrases.percent(task.predicted_correct or 0.0)
        self.seconds.text = phrases.seconds(task.predicted_time_seconds or 0.0)
        self.interval.text = phrases.interval(task)
        self.origin.text = phrases.origin(task)
        self.problem.text, self.typed.value = "", None
        start = f"retraceClock.start('{self.clock.html_id}')"
        ui.run_javascript(f"{start}; document.getElementById('{self.what.html_id}').focus()")

    async def _complete(self, is_correct: bool, taken: Any) -> None:
        if self.task is None or not self.open:
            return
        wrong = fields.problem(fields.SECONDS, taken)
        if wrong:
            self.problem.text = f"Seconds: {wrong}."
            return
        self.open = False
        how = Completion(is_correct=is_correct, actual_time_seconds=float(taken))
        done, trouble = await tried(self.face, self.who, complete(self.face, self.task.id, how))
        self.problem.text, self.open = trouble, done is None
        if done is not None:
            self._ended(done)
            await self.answered(done)

    def _ended(self, done: CompletedTask) -> None:
        ui.run_javascript("retraceClock.stop()")
        word = "✓ Right" if done.is_correct else "✗ Wrong"
        self.result.text = f"{word} in {phrases.seconds(done.actual_time_seconds or 0.0)}"
        self.result.classes(
            add="good" if done.is_correct else "bad", remove="bad" if done.is_correct else "good"
        )
        self.beside.text, self.number.text = phrases.outcome(done), "Being recorded."
        self._turn(asks=False)

    def recorded(self, task_id: str, words: str) -> None:
        """Tell of the completion's number, where this task is still shown."""
        if self.task is not None and self.task.id == task_id:
            self.number.text = words

    def _turn(self, *, asks: bool) -> None:
        """Show the buttons, or in their place how it went."""
        self.answer.visible, self.outcome.visible = asks, not asks

    async def _why(self) -> None:
        if self.task is not None:
            await self.why.show(self.task)
