"""Log lines about refused requests."""

import logging

import pytest
from linewatch_agent.refusals import PAUSE_SECONDS, RefusalLog


def test_the_first_of_a_kind_then_one_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = RefusalLog(clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        for number in range(100):
            refusals.note(number, "Predict", "NOT_FOUND", "no\nsuch")
        refusals.note(100, "LoadModel", "NOT_FOUND", "no")
        now = PAUSE_SECONDS
        refusals.note(101, "Predict", "NOT_FOUND", "no")
    assert [record.getMessage() for record in caplog.records] == [
        "request 0: Predict refused: NOT_FOUND: no\\x0asuch",
        "request 100: LoadModel refused: NOT_FOUND: no",
        "request 101: Predict refused: NOT_FOUND: no (99 more before)",
    ]
