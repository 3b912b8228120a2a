"""PURE: the analytics in words."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from gateway.aggregates import VERSIONS
from gateway.analytics import MOST, View
from gateway.learning import RUNNING
from gateway.pages import plots, rivals, timelines
from gateway.pages.filtering import LASTS
from gateway.pages.frame import Viewer
from gateway.pages.marks import counted
from gateway.scored import gap

_LATER = "Comes with the first tasks that were predicted and then completed."
_SCORED = f"{_LATER} They are scored every half minute."
_BOTH = "Comes when tasks of one source ended right and wrong within one step of time."
_LEARNER = "Comes with a learner's first completed tasks in this time."
# By name: title, the file's name, and what stands there while there is nothing.
PANELS = {
    "reliability": ("Reliability", "reliability", _LATER),
    "times": ("Predicted and actual time", "times", _LATER),
    "log_loss": ("Log loss over time", "scores", _SCORED),
    "auc": ("AUC over time", "scores", _BOTH),
    "sources": ("Sources over time", "sources", _SCORED),
    "arms": ("Champion against challenger", "arms", rivals.NONE),
    "success": ("Success by topic", "learning", _LEARNER),
    "seconds": ("Time by topic", "learning", _LEARNER),
}
WIDE = ("sources", "arms")


def summary(who: Viewer, view: View) -> str:
    """Which predictions are shown."""
    last, read = LASTS[view.filters.last], f"Read at {who.clock(view.at)}."
    if not len(view.rows):
        return f"No task completed in the {last} had a prediction that matches. {read}"
    if not view.more:
        return f"{counted(len(view.rows))} predictions of tasks completed in the {last}. {read}"
    since = who.clock(datetime.fromtimestamp(float(view.rows.at.min()), UTC), "%d %b %H:%M")
    return (
        f"Predictions of tasks completed in the {last}: the newest {counted(MOST)} of these, "
        f"since {since}. {read}"
    )


def notes(view: View) -> dict[str, str]:
    """By panel: what its chart says, and of what."""
    learning = _learning(view)
    whole = _over_time(view)
    return {
        "reliability": _reliability(view),
        "times": _times(view),
        "log_loss": f"Less is better; 0.693 is a coin's. {whole}",
        "auc": f"0.5 is a coin's, 1 is perfect. {_auc(view)}{whole}",
        "sources": f"Completed tasks by what answered. {_whole(view, view.filters.scores_kept)}",
        "arms": rivals.note(view.comparison),
        "success": f"Share right of the last {RUNNING} tasks on a topic. {learning}",
        "seconds": f"Median seconds of the last {RUNNING} tasks on a topic. {learning}",
    }


def _reliability(view: View) -> str:
    gaps = [f"{arm} {gap(bins):.3f}" for arm, bins in view.bins.items()]
    if not gaps:
        return ""
    return (
        "On the dashed line, chances came true as told; bars count the tasks, whiskers are 95 % "
        f"intervals. Mean gap: {', '.join(gaps)}. {_whole(view, view.filters.calibration_kept)}"
    )


def _times(view: View) -> str:
    rows = view.rows
    if not len(rows):
        return ""
    off = np.median(np.abs(rows.expected - rows.seconds))
    held = np.mean((rows.low <= rows.seconds) & (rows.seconds <= rows.high))
    drawn = min(len(rows), plots.DRAWN)
    some = f" The newest {counted(drawn)} are drawn." if drawn < len(rows) else ""
    return f"Half are less than {off:.1f} s off; 80 % intervals held {100 * held:.0f} %.{some}"


def _whole(view: View, kept: bool) -> str:
    """What is kept is of all tasks; what is made of the rows that were read is not."""
    if kept:
        return "All of this time."
    return f"Of the newest {counted(MOST)}." if view.more else ""


def _over_time(view: View) -> str:
    whole = _whole(view, view.filters.scores_kept)
    if not view.by_version:
        return whole
    most = (
        f"the {VERSIONS} largest" if len(view.by_version) == VERSIONS else "larger with more tasks"
    )
    return f"Lines are by source, points by version ({most}). {whole}"


def _auc(view: View) -> str:
    return "Lines are means of the versions', by tasks. " if view.filters.scores_kept else ""


def _learning(view: View) -> str:
    if view.learner is None:
        return ""
    found = view.curves
    whose = view.learner if view.filters.user else f"{view.learner}, who has the most here"
    topics = f"The {timelines.TOPICS} topics of most tasks, of {len(found)}. "
    newest = "The newest of them only. " if sum(map(len, found.values())) == MOST else ""
    any_version = "Whatever the version. " if view.filters.version is not None else ""
    return (
        f"{any_version}{topics if len(found) > timelines.TOPICS else ''}{newest}Learner: {whose}."
    )
