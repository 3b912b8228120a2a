"""Who practises, and what: three fields with suggestions from the store and the serving version."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from gateway import learners, words
from gateway.face import PAGE_SECONDS, Face, stored
from gateway.kept import Kept
from gateway.pages import fields, phrases
from gateway.pages.frame import Viewer
from gateway.pages.trouble import tried
from gateway.practice import NewTask

WORDS_SECONDS = 30.0
NO_MODEL = "No model serves yet, so there is nothing to choose from: type any topic and difficulty."


def knowing(face: Face) -> Kept[words.Words]:
    """The serving version's words, for all viewers of a gateway."""
    url = face.settings.model_store_url()
    return Kept(lambda: words.known(face.tasks.engine, url), WORDS_SECONDS)


def learner(face: Face, who: Viewer, value: str) -> fields.Field:
    """A field for a learner, one of those with completions or a new one."""

    async def named(beginning: str) -> list[str]:
        engine = face.tasks.engine
        read = stored(learners.named, engine, beginning, fields.MOST, seconds=PAGE_SECONDS)
        found, _ = await tried(face, who, read)
        return found or []

    return fields.Field("Learner, known or new", value, fields.IDS, named)


class TaskForm:
    """``get`` and ``suggest`` are the buttons' work, ``chosen`` that of a change of the learner."""

    def __init__(self, face: Face, who: Viewer, known: Kept[words.Words], filled: NewTask) -> None:
        self.face, self.who, self.known = face, who, known
        self.user = learner(face, who, filled.user_id)
        self.topic = fields.Field("Topic", filled.topic, fields.IDS, self._topics)
        self.difficulty = fields.Field(
            "Difficulty", filled.difficulty, fields.LABELS, self._difficulties
        )
        self.buttons = ui.element("div").classes("row-of")
        self.note = ui.label("").classes("soft two-lines").props("role=status")

    def offer(self, name: str, work: Any) -> None:
        """A button."""
        with self.buttons:
            ui.button(name, on_click=work).props("no-caps unelevated")

    def task(self) -> NewTask | None:
        """What is asked for; None where a field says that it is wrong."""
        taken = self.user.take(), self.topic.take(), self.difficulty.take()
        names = ("user_id", "topic", "difficulty")
        return NewTask(**dict(zip(names, taken, strict=True))) if all(taken) else None

    async def tell_about(self, user_id: str) -> None:
        """Say how much this learner has practised."""
        read = stored(learners.practised, self.face.tasks.engine, user_id, seconds=PAGE_SECONDS)
        done, trouble = await tried(self.face, self.who, read)
        self.note.text = trouble or self.note.text
        self.user.hint = "" if done is None else phrases.so_far(done, learners.REMEMBERED)

    async def words(self) -> words.Words | None:
        """Those of the serving version; None where they cannot be read, which the form says."""
        found, trouble = await tried(self.face, self.who, self.known.get())
        self.note.text = trouble or (NO_MODEL if found == words.Words() else self.note.text)
        return found

    async def _topics(self, beginning: str) -> list[str]:
        found = await self.words()
        return fields.beginning(found.topics, beginning) if found else []

    async def _difficulties(self, beginning: str) -> list[str]:
        found = await self.words()
        return fields.beginning(found.difficulties, beginning) if found else []
