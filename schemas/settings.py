"""Every setting, its default and its meaning, in one place.

Read from the environment once, at an entry point, with the prefix ``RETRACE_``; handed on as a
value. Secrets come only from here and are masked wherever settings are shown.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.errors import ConfigurationError

PREFIX = "RETRACE_"
_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]+@")
Port = Annotated[int, Field(ge=0, le=65_535)]


class Settings(BaseSettings):
    """All settings. Fields without a group are for every service."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    data_dir: Path = Field(
        Path(".retrace"),
        description="Folder of everything kept on this machine: embedded servers, models, logs.",
    )
    kafka_bootstrap: str = Field(
        "",
        description="Kafka's addresses, `host:port,…`. Empty: the embedded Kafka of `retrace up`.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to talk to Kafka."
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, where the protocol uses SASL."
    )
    kafka_sasl_username: str = Field("", description="SASL user name.")
    kafka_sasl_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    kafka_ssl_ca: str = Field("", description="File of the certificate authority for TLS.")
    kafka_ssl_certificate: str = Field("", description="File of the client's certificate, if any.")
    kafka_ssl_key: str = Field("", description="File of the client's private key, if any.")
    kafka_ssl_check_hostname: bool = Field(
        True, description="Whether the broker's certificate has to name the broker's host."
    )
    kafka_replication: int = Field(
        -1, ge=-1, le=9, description="Replicas of each topic it creates; -1: the broker's default."
    )
    kafka_session_seconds: float = Field(
        6.0,
        ge=1.0,
        le=1800.0,
        description="A consumer that is silent for so long loses its partitions to the others.",
    )
    kafka_partitions: int = Field(
        6,
        ge=1,
        le=1000,
        description="Partitions of the topics that have several, fixed once these are created.",
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL, `postgresql://user:password@host/name`. "
        "Empty: the embedded one of `retrace up`.",
    )
    model_store: str = Field(
        "",
        description="Where model versions are kept: a folder or an fsspec URL. "
        "Empty: `models` in the data folder.",
    )
    topic_prefix: str = Field(
        "",
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Put before every topic and group name.",
    )
    host: str = Field("127.0.0.1", description="Address that every HTTP port binds to.")
    health_hosts: str = Field(
        "",
        description="Where `retrace status` finds the services, `streams=http://host:port,…`. "
        "Empty: the ports below on this machine.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="Logs for people or for machines; auto: text on a terminal, else JSON."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe log line that is written."
    )

    streams_port: Port = Field(4011, description="Health and metrics of streams; 0: any free port.")
    train_every: int = Field(
        5,
        ge=1,
        le=1_000_000,
        description="A train-request at every so many completions; "
        "a change holds from the next number on.",
    )
    batch_size: int = Field(2000, ge=1, le=10_000, description="Most completions recorded at once.")
    window_seconds: int = Field(
        60, ge=1, le=86_400, description="Length of a window in event time."
    )
    window_grace_seconds: int = Field(
        300, ge=0, le=604_800, description="A window is final this long after its end."
    )
    window_kept_seconds: int = Field(
        86_400, ge=60, le=31_536_000, description="How long windows are kept one by one."
    )
    heal_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="How often counter and positions are compared with the store.",
    )

    trainer_port: Port = Field(
        4012, description="Health and metrics of the trainer; 0: any free port."
    )
    train_epochs: int = Field(14, ge=1, le=1000, description="Epochs of a training from nothing.")
    train_rows: int = Field(
        50_000,
        ge=1000,
        le=10_000_000,
        description="Most completions learned at once: the newest learners whole, others drawn.",
    )
    train_arch: Literal["residual", "reference"] = Field(
        "residual", description="The networks: Retrace's own, or those of the reference system."
    )
    train_threads: int = Field(1, ge=1, le=64, description="Threads of a training.")
    seed: int = Field(1, ge=0, le=2**31, description="Seed of everything random in a training.")
    gate_margin: float = Field(
        0.005,
        ge=0,
        le=1,
        description="A version whose log loss before learning is so much worse than the best "
        "recent one's, in nats and beyond noise, is rejected.",
    )
    gate_rows: int = Field(
        100, ge=10, le=2000, description="Fewest rows on which the two are compared."
    )
    models_kept: int = Field(
        10, ge=2, le=10_000, description="Newest model versions kept; older ones are removed."
    )
    models_young_seconds: int = Field(
        120, ge=0, le=31_536_000, description="A version younger than this is never removed."
    )

    inference_port: Port = Field(
        4013, description="Health and metrics of inference; 0: any free port."
    )
    inference_threads: int = Field(1, ge=1, le=64, description="Threads of a prediction.")
    score_seconds: float = Field(
        30.0, gt=0, le=3600, description="Time between two looks at how predictions compare."
    )
    score_window_seconds: int = Field(
        900, ge=60, le=86_400, description="Length of a window of prediction scores."
    )
    challenger: str = Field(
        "",
        description="Another source for a share of the learners, `lnirt:0.1`. Empty: none.",
    )
    challenger_shadow: bool = Field(
        False, description="Keep the challenger's answers beside the champion's, tell only these."
    )
    swap_seconds: float = Field(
        1.0, ge=0, le=3600, description="Least time between two swaps of the serving version."
    )
    inference_learners: int = Field(
        5000, ge=1, le=1_000_000, description="Learners whose states inference holds in memory."
    )

    gateway_port: Port = Field(4008, description="The gateway's HTTP port; 0: any free port.")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Keys that callers must send, comma-separated. Empty: none needed."
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names under which a gateway without keys answers, comma-separated, besides "
        "localhost, IP addresses and `RETRACE_HOST`.",
    )
    prediction_timeout_seconds: float = Field(
        0.7, gt=0, le=0.9, description="How long POST waits for a prediction before the default."
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=60,
        description="How long the gateway still answers after SIGTERM, and closes connections.",
    )

    kafka_port: Port = Field(9092, description="Port of the embedded Kafka.")
    postgres_port: Port = Field(5433, description="Port of the embedded PostgreSQL.")
    simulate_learners: int = Field(
        20, ge=1, le=1_000_000, description="Simulated learners of `retrace up --demo`."
    )
    simulate_rate: float = Field(
        1.0, gt=0, le=10_000, description="Tasks a second of `retrace up --demo`."
    )

    @model_validator(mode="after")
    def _windows_fit_a_message(self) -> Self:
        if self.window_kept_seconds > 10_000 * self.window_seconds:
            raise ValueError("window_kept_seconds may hold at most 10 000 windows")
        return self

    @field_validator("api_keys", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(
            re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) for name in value
        ):
            raise ValueError("takes names without scheme and port, like retrace.example.org")
        return tuple(name.lower() for name in value)

    @field_validator("challenger")
    @classmethod
    def _names_a_share(cls, value: str) -> str:
        if value and not re.fullmatch(r"(lnirt|default):(0(\.\d+)?|1(\.0+)?)", value):
            raise ValueError("takes lnirt or default and a share of the learners, like lnirt:0.1")
        return value

    def model_store_url(self) -> str:
        return self.model_store or str((self.data_dir / "models").resolve())


def load() -> Settings:
    """The settings in force, from the environment.

    Raises ``ConfigurationError`` naming the variable, never its value.
    """
    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = PREFIX + str((*problem["loc"], "window_kept_seconds")[0]).upper()
        raise ConfigurationError(
            f"{name}: {problem['msg']}. See the settings in the README."
        ) from None


def default_text(name: str) -> str:
    """A setting's default as one would write it in the environment."""
    value = Settings.model_fields[name].default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "" if value == () else str(value)


def markdown() -> str:
    """The table of settings that the README repeats."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = default_text(name)
        shown = f"`{default}`" if default else "–"
        rows.append(f"| `{PREFIX}{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def level(settings: Settings) -> int:
    return logging.getLevelNamesMapping()[settings.log_level]


def masked(address: str) -> str:
    """An address without the password in it."""
    return _PASSWORD.sub(r"\1:********@", address)
