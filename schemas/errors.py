"""Every error that Retrace raises on purpose, in one tree.

    RetraceError                 one line that says what happened and what to do
    ├── UsageError               the caller asked for something impossible (exit code 2)
    ├── ConfigurationError       a setting is missing or wrong
    ├── MachineError             this machine lacks something: port, Java, Maven, disk, data folder
    ├── Unreachable              a server does not answer; waiting may help
    ├── TopicMismatch            a topic exists with another partition count than declared
    ├── ArtifactError            a model version is missing, truncated, altered or unreadable
    ├── NotEnoughData            too few completions to train on; the request is rejected
    ├── TrainingFailed           the networks could not be fitted; the request has failed
    └── ModelRejected            what was fitted must not be served; the request is rejected

Its text is for people: the command line prints it as one line and exits with 1.
"""

from __future__ import annotations


class RetraceError(Exception):
    """Base of all errors raised on purpose; ``str(error)`` is one line for people."""

    exit_code = 1


class UsageError(RetraceError):
    """The caller asked for something that cannot be done."""

    exit_code = 2


class ConfigurationError(RetraceError):
    """A setting is missing or wrong."""


class MachineError(RetraceError):
    """This machine lacks something that the command needs."""


class Unreachable(RetraceError):
    """A server does not answer. Waiting may help."""


class TopicMismatch(RetraceError):
    """A topic exists, but not as declared."""


class ArtifactError(RetraceError):
    """A model version is missing, truncated, altered or unreadable."""


class NotEnoughData(RetraceError):
    """Too few completions to train on."""


class TrainingFailed(RetraceError):
    """The networks could not be fitted."""


class ModelRejected(RetraceError):
    """What was fitted must not be served."""
