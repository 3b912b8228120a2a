"""Practise: be a learner, get a task with its prediction, answer it, and see what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastapi import Request
from nicegui import ui

from gateway import learners, prospects, words
from gateway.face import PAGE_SECONDS, Face, stored
from gateway.kept import Kept
from gateway.pages import counter, frame, parts, phrases
from gateway.pages.last_tasks import LastTasks
from gateway.pages.task_card import TaskCard
from gateway.pages.task_form import TaskForm, knowing
from gateway.pages.trouble import tried
from gateway.practice import CompletedTask, NewTask, ask
from gateway.ranking import TARGET

TRIES, TRY_SECONDS = 24, 0.25
LATER = "It is published, and gets its number once it has been recorded."
NOTHING = "Nothing can be suggested before a model serves: type a topic and a difficulty."


def add(face: Face) -> None:
    """The page at ``/dashboard/tasks``."""
    kept, known = counter.reading(face), knowing(face)

    @ui.page("/tasks")
    async def show(request: Request, user: str = "", topic: str = "", difficulty: str = "") -> None:
        given = NewTask.model_construct(user_id=user, topic=topic, difficulty=difficulty)
        with frame.page("Practise", request) as who:
            parts.head()
            page = Practice(face, who, known, kept, given)
            frame.pulse(page.beat)
            if user:
                ui.timer(0.0, page.chosen, once=True)


class Practice:
    """One viewer's page."""

    def __init__(
        self,
        face: Face,
        who: frame.Viewer,
        known: Kept[words.Words],
        kept: Kept[counter.Seen],
        given: NewTask,
    ) -> None:
        self.face, self.who = face, who
        self._once_more: Callable[[], Awaitable[None]] = self.get
        self._busy = False
        with ui.element("div").classes("practice"):
            with ui.element("section").classes("card"):
                parts.heading("Learner and task")
                self.form = TaskForm(face, who, known, given)
                self.form.user.on("change", self.chosen, [])
                self.form.offer("Get this task", self.get)
                self.form.offer("Suggest a task", self.suggest)
            self.card = TaskCard(face, who, self.answered, self.again)
            self.counter = counter.Counter(face, who, kept)
            self.last = LastTasks(face, who)

    async def beat(self) -> None:
        """What may change without the viewer: the counter, and what could not be read."""
        await self.counter.refresh()
        if self.last.away:
            await self.chosen()

    async def chosen(self) -> None:
        """A learner was chosen: say who that is."""
        user_id = self.form.user.take()
        if user_id:
            await asyncio.gather(self.form.tell_about(user_id), self.last.refresh(user_id))

    async def get(self) -> None:
        """Give the learner the task that the form asks for."""
        self._once_more, self.form.note.text = self.get, ""
        await self._get()

    async def suggest(self) -> None:
        """Give the learner the task that is closest to the usual target."""
        self._once_more = self.suggest
        user_id = self.form.user.take()
        if user_id is None:
            return
        look = prospects.look(self.face, user_id, await self.form.words())
        found, trouble = await tried(self.face, self.who, look)
        suggested = found.suggested(TARGET)[:1] if found else []
        if not suggested:
            self.form.note.text = trouble or NOTHING
            return
        self.form.topic.value, self.form.difficulty.value = (
            suggested[0].topic,
            suggested[0].difficulty,
        )
        self.form.note.text = f"Suggested: {suggested[0].why}."
        await self._get()

    async def again(self) -> None:
        """Another task in the way that the last one came."""
        await self._once_more()

    async def _get(self) -> None:
        new = self.form.task()
        if new is None or self._busy:
            return
        self._busy = True
        try:
            task, trouble = await tried(self.face, self.who, ask(self.face, new))
        finally:
            self._busy = False
        if task is None:
            self.form.note.text = trouble
            return
        self.card.show(task)
        await self.chosen()

    async def answered(self, done: CompletedTask) -> None:
        """Wait for the number of a completion beside everything else, then tell what it is."""
        await self.last.refresh(done.user_id)
        engine = self.face.tasks.engine
        for _ in range(TRIES):
            read = stored(learners.number_of, engine, done.id, seconds=PAGE_SECONDS)
            number, _ = await tried(self.face, self.who, read)
            if number is not None:
                self.card.recorded(done.id, phrases.recorded(number, done.counter.every))
                await asyncio.gather(
                    self.counter.refresh(number), self.form.tell_about(done.user_id)
                )
                return
            await asyncio.sleep(TRY_SECONDS)
        self.card.recorded(done.id, LATER)
