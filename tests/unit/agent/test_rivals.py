"""Two components that offer a model for one role are named, once, when they stay."""

from pathlib import Path

import pytest
from linewatch_agent.rivals import MAX_NAMED, SETTLED_SECONDS, Rivals
from linewatch_common.messages.models import ModelActivated, ModelRetired

from tests.unit.agent.support import make_package, offer_of
from tests.unit.agent.test_roles import NAME, Bench

OURS, THEIRS = "com.linewatch.model.Tiny", "com.example.model.Other"


class Said:
    """What `rivals` says as time goes by."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.now = 50.0
        self.rivals = Rivals(lambda: self.now)
        self._caplog = caplog

    def after(self, seconds: float) -> list[str]:
        self._caplog.clear()
        self.now += seconds
        self.rivals.look()
        return self._caplog.messages


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    return Said(caplog)


def test_both_are_named_once(said: Said) -> None:
    said.rivals.stands("classifier", OURS)
    assert said.after(SETTLED_SECONDS) == []
    said.rivals.stands("classifier", THEIRS)
    said.rivals.stands("segmenter", "com.linewatch.model.Mask")
    assert said.after(SETTLED_SECONDS - 1) == []
    [line] = said.after(1)
    assert line.startswith(f"role classifier: more than one component offers a model for it: {THEIRS}, {OURS}; ")
    said.rivals.stands("classifier", OURS)
    assert said.after(SETTLED_SECONDS) == []


def test_one_that_is_removed_by_the_deployment_is_none(said: Said) -> None:
    said.rivals.stands("classifier", OURS)
    said.rivals.stands("classifier", THEIRS)
    said.after(SETTLED_SECONDS - 1)
    said.rivals.went(OURS)
    assert said.after(1) == []
    said.rivals.stands("classifier", OURS)
    assert len(said.after(SETTLED_SECONDS)) == 1, "and it is one again when it comes back"


def test_a_component_stands_behind_one_role(said: Said) -> None:
    said.rivals.stands("classifier", OURS)
    said.rivals.stands("inspector", OURS)
    said.rivals.stands("classifier", THEIRS)
    assert said.after(SETTLED_SECONDS) == []


def test_however_many_names_come_a_few_are_kept(said: Said) -> None:
    for number in range(10 * MAX_NAMED):
        said.rivals.stands("classifier", f"com.example.{number:03}")
    [line] = said.after(SETTLED_SECONDS)
    assert line.count("com.example") == MAX_NAMED


def _lines(bench: Bench, caplog: pytest.LogCaptureFixture) -> list[str]:
    bench.now += SETTLED_SECONDS
    bench.roles.retire_due(None, 0.0)
    return [record.getMessage() for record in caplog.records if record.name == "linewatch_agent.rivals"]


def test_the_agent_says_so_after_a_reboot_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = offer_of(make_package(tmp_path / "ours"), lease=OURS)
    theirs = offer_of(make_package(tmp_path / "theirs", name="Other"), nonce="n2", lease=THEIRS)
    for start in (1, 2):
        bench = Bench(tmp_path / "work")
        for offer in (ours, theirs):
            assert isinstance(bench.roles.answer(offer), ModelActivated)
        assert len(_lines(bench, caplog)) == start


def test_neither_an_update_nor_a_swap_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path / "work")
    bench.roles.answer(offer_of(make_package(tmp_path / "1"), lease=OURS))
    bench.roles.answer(offer_of(make_package(tmp_path / "2", version="2.0.0"), nonce="n2", lease=OURS))
    bench.roles.answer(offer_of(make_package(tmp_path / "3", name="Other"), nonce="n3", lease=THEIRS))
    bench.roles.withdrawn(ModelRetired(identifier="Tiny-2-0-0", role="classifier", by=OURS, reason=""))
    bench.roles.withdrawn(ModelRetired(identifier="Tiny-2-0-0", role="classifier", by=NAME, reason=""))
    assert _lines(bench, caplog) == []
