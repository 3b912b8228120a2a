"""Calls beside: at the same time, their results and errors to the caller, the next one after."""

from __future__ import annotations

import threading

import pytest

from inference.beside import Beside


def test_the_caller_works_on_meanwhile() -> None:
    went_on = threading.Event()
    result = Beside("tests").begin(went_on.wait, 30.0)
    went_on.set()
    assert result() is True


def test_an_error_is_the_caller_s_and_the_next_call_is_made() -> None:
    beside = Beside("tests")
    result = beside.begin(divmod, 1, 0)
    with pytest.raises(ZeroDivisionError):
        result()
    assert beside.begin(divmod, 7, 2)() == (3, 1)


def test_calls_share_one_thread_that_is_not_the_caller_s() -> None:
    beside = Beside("tests")
    first, second = (beside.begin(threading.get_ident)() for _ in range(2))
    assert first == second != threading.get_ident()
