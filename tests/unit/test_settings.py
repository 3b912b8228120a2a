"""Settings: from the environment only, secrets masked, and as the README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import settings
from schemas.errors import ConfigurationError

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_repeats_the_table() -> None:
    assert settings.markdown() in README.read_text()


def test_environment_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_TRAIN_EVERY", "7")
    monkeypatch.setenv("RETRACE_API_KEYS", "one, two")
    found = settings.load()
    assert found.train_every == 7
    assert [key.get_secret_value() for key in found.api_keys] == ["one", "two"]
    assert found.host == "127.0.0.1"


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("RETRACE_DATABASE_URL", "postgresql://u:hunter2@h/d")
    monkeypatch.setenv("RETRACE_API_KEYS", "hunter2")
    assert "hunter2" not in repr(settings.load())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RETRACE_TRAIN_EVERY", "none"),
        ("RETRACE_TRAIN_EVERY", "0"),
        ("RETRACE_GATEWAY_PORT", "70000"),
        ("RETRACE_TOPIC_PREFIX", "a b"),
        ("RETRACE_WINDOW_KEPT_SECONDS", "86400000"),
    ],
)
def test_a_wrong_value_is_named_but_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_allowed_hosts_are_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRACE_ALLOWED_HOSTS", "Retrace.example.org, gateway")
    assert settings.load().allowed_hosts == ("retrace.example.org", "gateway")
    for wrong in ("https://retrace.example.org", "gateway:4008", "*", "a b"):
        monkeypatch.setenv("RETRACE_ALLOWED_HOSTS", wrong)
        with pytest.raises(ConfigurationError, match="RETRACE_ALLOWED_HOSTS"):
            settings.load()
