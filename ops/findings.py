"""What the doctor finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One finding; ``advice`` says what to do where it is not ok."""

    name: str
    state: State
    detail: str
    advice: str = ""


Finding = tuple[State, str, str]
