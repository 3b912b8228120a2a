"""What is asked of a chaos run, from ``CHAOS_…`` in the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import ConfigurationError
from tests.chaos.fallen import MORE_FAULTS
from tests.chaos.plan import FAULTS
from tests.chaos.scenes import SCENES
from tests.chaos.trainings import KINDS

SECONDS, COMPLETIONS, EVERYTHING = 130.0, 20_000, 50_000
WHOLE = "everything"
ACTS = ("fire", *SCENES, WHOLE)
KNOWN = (*MORE_FAULTS, *KINDS)


def _split(value: object) -> object:
    return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


def _of(known: tuple[str, ...]) -> AfterValidator:
    def check(names: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(names) - set(known):
            raise ValueError(f"no {', '.join(sorted(unknown))} among {', '.join(known)}")
        return names

    return AfterValidator(check)


class Asked(BaseSettings):
    """A seed, seconds of load (more is a soak, with completions in proportion), and what to do."""

    model_config = SettingsConfigDict(env_prefix="CHAOS_", frozen=True)

    seed: int = Field(default=1, ge=0)
    seconds: float = Field(default=SECONDS, ge=10, le=86_400)
    completions: int | None = Field(default=None, ge=5, le=10_000_000)
    acts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), _of(ACTS)] = ACTS
    faults: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), _of(KNOWN)] = KNOWN

    @property
    def fire(self) -> tuple[int, float, tuple[str, ...]]:
        """Completions, seconds and faults of the fire."""
        return self._load(COMPLETIONS), self.seconds, self._faults(FAULTS)

    @property
    def everything(self) -> tuple[int, float, tuple[str, ...], tuple[str, ...]]:
        """Completions, seconds, faults and what is done to trainings."""
        faults, trainings = self._faults(MORE_FAULTS), self._faults(KINDS)
        return self._load(EVERYTHING), self.seconds, faults, trainings

    def _load(self, usual: int) -> int:
        return self.completions or round(usual * max(1.0, self.seconds / SECONDS))

    def _faults(self, known: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(kind for kind in self.faults if kind in known)


def load() -> Asked:
    """Raises ConfigurationError with one line that names the variable."""
    try:
        return Asked()
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = f"CHAOS_{str(problem['loc'][0]).upper()}"
        raise ConfigurationError(f"{name}: {problem['msg']}.") from None
