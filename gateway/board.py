"""The system's state as far as its events tell it: below `retrace up`'s log, and on the pages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from gateway.feed import Happening, Letter
from schemas.events import (
    Completions,
    Event,
    ModelUpdated,
    Prediction,
    TrainingProgress,
    TrainRequest,
)

PREDICTIONS = 5
EPOCHS = 500
LETTERS = 8


@dataclass
class Board:
    """The state as far as it has been seen. ``epochs`` are the newest, of whichever
    trainings; ``letters`` the newest dead letters."""

    every: int
    generation: int = 0
    completions: int = 0
    requested: str = ""
    training: str = ""
    epoch: TrainingProgress | None = None
    model: ModelUpdated | None = None
    predictions: deque[Prediction] = field(default_factory=lambda: deque(maxlen=PREDICTIONS))
    dead_letters: int = 0
    epochs: deque[TrainingProgress] = field(default_factory=lambda: deque(maxlen=EPOCHS))
    letters: deque[Happening] = field(default_factory=lambda: deque(maxlen=LETTERS))

    def apply(self, happening: Happening) -> None:
        """Take in what happened."""
        if isinstance(happening.event, Letter):
            self.letters.append(happening)
        self.take(happening.event)

    def copy(self) -> Board:
        """As it is now."""
        held = self.predictions.copy(), self.epochs.copy(), self.letters.copy()
        return replace(self, predictions=held[0], epochs=held[1], letters=held[2])

    def take(self, event: Event | Letter) -> None:
        match event:
            case Completions():
                self._count(event)
            case TrainRequest():
                self.requested = event.request_id
            case TrainingProgress():
                self._progress(event)
            case ModelUpdated():
                if self.model is None or event.revision >= self.model.revision:
                    self.model = event
            case Prediction():
                self.predictions.append(event)
            case Letter():
                self.dead_letters += 1

    def count(self, generation: int, completions: int) -> None:
        """So many completions are recorded; a newer generation begins again."""
        if generation > self.generation:
            self.generation, self.completions = generation, 0
        if generation == self.generation:
            self.completions = max(self.completions, completions)

    def _count(self, event: Completions) -> None:
        self.count(event.generation, max((item.number for item in event.items), default=0))

    def _progress(self, event: TrainingProgress) -> None:
        if event.state == "started":
            self.training, self.epoch = event.request_id, None
        elif event.state == "epoch":
            self.training, self.epoch = event.request_id, event
            self.epochs.append(event)
        elif event.request_id == self.training:
            self.training, self.epoch = "", None
