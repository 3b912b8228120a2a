"""PURE: what an action will do and has done, in sentences for the settings page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.escaping import printable
from gateway.letters import Plan
from gateway.numerals import plural

if TYPE_CHECKING:
    from training.revisions import Revision

WAITS = "Trainings go on; later versions wait until it is released."
AGAIN = "What fails again comes back as a new letter."


def training(completions: int, current: Revision | None) -> tuple[str, ...]:
    """Before a training by hand."""
    asked = plural(completions, "recorded completion")
    first = f"The trainer is asked to learn from {asked}, after what it is doing now."
    if current is not None and current.holds:
        return (first, f"Version {current.version} is held: the new one waits until its release.")
    return (first, "The new version serves once it is through the gate.")


def promotion(row: Any, current: Revision | None) -> tuple[str, ...]:
    """Before a version is promoted; ``row`` is what is known of it."""
    rejected = row.state == "rejected"
    gate = (f"The gate rejected it: {row.reason or 'no reason is known'}.",) if rejected else ()
    return (*gate, *holding(row.version, current))


def holding(version: int, current: Revision | None) -> tuple[str, ...]:
    """Before a version is made to serve and held."""
    if current is None:
        return (f"Version {version} serves from now on, and is held.", WAITS)
    if current.version == version:
        return (f"Version {version} serves already. It will be held.", WAITS)
    instead = f"instead of version {current.version}"
    return (f"Version {version} serves at once {instead}, and is held.", WAITS)


def release(newest: int, held: int) -> tuple[str, ...]:
    """Before the held version is let go."""
    if newest == held:
        return (f"Version {held} goes on serving, and later versions will follow it.",)
    instead = f"instead of version {held}: {newest}, as of now"
    return (f"The newest version serves {instead}. Later ones will follow it.",)


def redrive(plan: Plan, cause: str) -> tuple[str, ...]:
    """Before letters go back: the dry run's counts."""
    of = f" of class {cause}" if cause else " without a class"
    going = [
        f"{plural(group.letters, 'letter')}{of} will go back to {printable(topic)}, byte for byte."
        for topic, group in plan.sent.items()
    ]
    if not going:
        return (f"No letter{of} can be sent back.", *_left_out(plan))
    return (*going, *_left_out(plan), AGAIN)


def redriven(plan: Plan) -> tuple[str, ...]:
    """After letters went back."""
    gone = [
        f"{plural(group.letters, 'letter')} sent back to {printable(topic)}."
        for topic, group in plan.sent.items()
    ]
    return (*(gone or ["No letter was sent back."]), *_left_out(plan))


def _left_out(plan: Plan) -> list[str]:
    return [
        f"{plural(g.letters, 'letter')} left out: {reason}." for reason, g in plan.left_out.items()
    ]
