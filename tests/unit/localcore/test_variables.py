"""Recipe variables, and what each runtime does with braces it cannot resolve."""

from pathlib import Path

import pytest

from localcore.runtime import RUNTIMES
from localcore.variables import Scope, substitute_script, substitute_value

SCOPE = Scope(
    artifacts=Path("/root/artifacts/A/1.0.0"),
    decompressed=Path("/root/unpacked/A/1.0.0"),
    work=Path("/root/work/A"),
    root=Path("/root"),
    thing_name="station-7",
    configuration={
        "name": "line",
        "rate": 5,
        "deep": {"list": [1, "b"], "on": True},
        "quoted": 'a"$b`c\\',
        "a/b": "slash",
    },
)
OTHER = Scope(Path("/other/art"), Path("/other/dec"), Path("/other/work"), Path("/root"), "station-7", {"port": 80})


def script(text: str, like: str) -> str:
    return substitute_script(text, SCOPE, RUNTIMES[like], {"B": OTHER}.get).text


@pytest.mark.parametrize("like", ["classic", "lite"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{artifacts:path}/x", "/root/artifacts/A/1.0.0/x"),
        ("{artifacts:decompressedPath}", "/root/unpacked/A/1.0.0"),
        ("{kernel:rootPath} {iot:thingName}", "/root station-7"),
        ("{configuration:/name} {configuration:/rate}", "line 5"),
        ("{configuration:/deep/on}", "true"),
        ("{configuration:/a~1b}", "slash"),
    ],
)
def test_variables_of_both(text: str, expected: str, like: str) -> None:
    assert script(text, like) == expected


def test_lite_ends_the_work_path_with_a_slash() -> None:
    assert script("{work:path}", "lite") == "/root/work/A/"
    assert script("{work:path}", "classic") == "/root/work/A"


def test_lite_escapes_for_double_quotes_and_classic_does_not() -> None:
    assert script('"{configuration:/quoted}"', "lite") == '"a\\"\\$b\\`c\\\\"'
    assert script('"{configuration:/quoted}"', "classic") == '"a"$b`c\\"'
    assert script("{configuration:/deep/list}", "lite") == '[1,\\"b\\"]'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("echo ${HOME}; echo rest", "echo $"),
        ("f() { echo; }\nf", "f() "),
        ("echo {configuration:/missing} more", "echo "),
        ("echo {open", "echo "),
        ("echo {B:work:path}", "echo "),
    ],
)
def test_lite_truncates_loudly_and_classic_leaves_it(text: str, kept: str) -> None:
    result = substitute_script(text, SCOPE, RUNTIMES["lite"], {"B": OTHER}.get)
    assert result.text == kept
    assert "TRUNCATES this script at line 1" in result.warnings[0]
    if "B:" not in text:
        assert script(text, "classic") == text


def test_lite_truncates_at_a_value_that_is_too_long() -> None:
    scope = Scope(Path("/a"), Path("/b"), Path("/c"), Path("/d"), "t", {"long": "x" * 257, "fits": "x" * 256})
    assert substitute_script("echo {configuration:/fits}", scope, RUNTIMES["lite"], lambda _name: None).warnings == ()
    cut = substitute_script("echo {configuration:/long}", scope, RUNTIMES["lite"], lambda _name: None)
    assert (cut.text, len(cut.warnings)) == ("echo ", 1)


def test_classic_resolves_other_components() -> None:
    assert script("{B:work:path} {B:configuration:/port} {C:work:path}", "classic") == "/other/work 80 {C:work:path}"


@pytest.mark.parametrize("like", ["classic", "lite"])
def test_an_environment_value_is_not_escaped_and_keeps_unknown_braces(like: str) -> None:
    value = substitute_value("{configuration:/quoted}{unknown}${X}", SCOPE, RUNTIMES[like], lambda _name: None)
    assert value == 'a"$b`c\\{unknown}${X}'
