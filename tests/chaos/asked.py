"""What is asked of a chaos run, from ``CHAOS_…`` in the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import ConfigurationError
from tests.chaos.plan import FAULTS
from tests.chaos.scenes import SCENES

SECONDS, COMPLETIONS = 130.0, 20_000
ACTS = ("fire", *SCENES)


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
    faults: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), _of(FAULTS)] = FAULTS

    @property
    def load(self) -> int:
        """How many completions the fire publishes."""
        return self.completions or round(COMPLETIONS * max(1.0, self.seconds / SECONDS))


def load() -> Asked:
    """Raises ConfigurationError with one line that names the variable."""
    try:
        return Asked()
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = f"CHAOS_{str(problem['loc'][0]).upper()}"
        raise ConfigurationError(f"{name}: {problem['msg']}.") from None
