"""Where Faust makes its folders: below the data folder, which need not be there yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import MachineError
from schemas.settings import Settings
from streams import app


def test_it_is_made_with_all_above_it(tmp_path: Path) -> None:
    folder = app._folder(Settings(data_dir=tmp_path / "not" / "yet"))
    assert folder.is_dir()
    assert app._folder(Settings(data_dir=tmp_path / "not" / "yet")) == folder


def test_where_it_cannot_be_made_one_line_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="RETRACE_DATA_DIR"):
        app._folder(Settings(data_dir=tmp_path / "file"))
