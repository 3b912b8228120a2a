"""The types of events' fields: limits, meaning and an example, each said once.

The exported JSON Schemas carry all three.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints


def about(meaning: str, *examples: Any) -> Any:
    """What a field means, for people, and examples of it; without any, those of its type."""
    if not examples:  # None would be said to have none
        return Field(description=meaning)
    return Field(description=meaning, examples=list(examples))


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("time outside the years 1 to 9999 in UTC") from None


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold a NUL character")
    return value


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_without_nul)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_without_nul)]
Text = Annotated[str, StringConstraints(max_length=500), AfterValidator(_without_nul)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Number = Annotated[int, Field(ge=1, le=2**62)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Bound = Annotated[float, Field(gt=0)]

TaskId = Annotated[Id, about("The task; it completes once.", "quiz-7/42")]
UserId = Annotated[Id, about("The learner.", "ada")]
Subject = Annotated[Id, about("What the task is about.", "fractions")]
Difficulty = Annotated[Label, about("How hard it is meant to be; an open vocabulary.", "easy")]
StartedAt = Annotated[Time, about("When the learner began the task.", "2026-03-01T11:59:38.500Z")]
CompletedAt = Annotated[Time, about("When the learner finished it.", "2026-03-01T12:00:00Z")]
RequestId = Annotated[Id, about("The request; repeated messages about it carry the same.", "r-1")]
TrainId = Annotated[
    Id, about("`count-<n>` for the trigger at the n-th completion, else `manual-…`, `replay-…`.",
              "count-105")
]  # fmt: skip
ModelName = Annotated[Id, about("The model; there is one, `retrace`.", "retrace")]

Source = Annotated[
    Literal["lstm", "lnirt", "default"],
    about("What answered: a mixture with the networks, LNIRT, or the default of 0.5 and 60 s."),
]
Arm = Annotated[
    Literal["champion", "challenger"],
    about("Which side of a comparison answered; without a challenger always the champion."),
]
Reason = Annotated[Text, about("Why, in words for people.", "trained on 105 completions, reads 8")]
Probability = Annotated[
    float, Field(ge=0.01, le=0.99), about("The chance that the answer is right.", 0.73)
]
ExpectedSeconds = Annotated[
    float, Field(ge=5, le=600), about("How many seconds it will take: the median.", 24.5)
]
SecondsLow = Annotated[Bound, about("10 % are quicker: the 80 % interval's lower end.", 12.5)]
SecondsHigh = Annotated[Bound, about("10 % are slower: the 80 % interval's upper end.", 47.0)]
Version = Annotated[Number, about("The model version; null where none was used.", 15)]
Revision = Annotated[Number, about("The announcement that was served; null where none was.", 17)]
HistoryLength = Annotated[Count, about("The learner's completed tasks that it is based on.", 8)]
PredictedAt = Annotated[Time, about("When the answer was made.", "2026-03-01T11:59:38.600Z")]
