"""The tests in other environments: a failure, a hang or a missing environment is never a success, and the total is honest."""

import sys
from pathlib import Path

import pytest

from tools import suites

_PASSES = "def test_a():\n    pass\n\ndef test_b():\n    import pytest\n    pytest.skip('part is missing')\n"
_FAILS = "def test_a():\n    assert 1 + 1 == 3\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, as the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def suite(checkout: Path, name: str, text: str) -> str:
    folder = checkout / "tests/model_build" / name
    folder.mkdir(parents=True)
    (folder / f"test_{name}.py").write_text(text)
    return f"{name}={sys.executable}"


def test_each_suite_runs_and_one_failure_fails_all(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, bad = suite(checkout, "good", _PASSES), suite(checkout, "bad", _FAILS)
    assert suites.main(["run", good, bad]) == 1
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith("model_build: FAILED in bad after ")
    assert last.endswith("; good: 1 passed, 1 skipped; bad: 1 failed")


def test_the_total_counts_every_suite_in_pytests_words(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good, main = suite(checkout, "good", _PASSES), suite(checkout, "main", _PASSES)
    assert suites.main(["run", main]) == 0
    assert suites.main(["run", good]) == 0
    assert suites.main(["total"]) == 0
    assert capfd.readouterr().out.splitlines()[-1].strip("=") == " 2 passed, 2 skipped in all suites "


def test_a_suite_without_tests_fails(checkout: Path) -> None:
    assert suites.main(["run", suite(checkout, "empty", "")]) == 1


def test_a_total_without_the_main_suite_is_no_success(checkout: Path) -> None:
    suites.main(["run", suite(checkout, "good", _PASSES)])
    assert suites.main(["total"]) == 1
