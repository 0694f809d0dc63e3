"""Version requirements as each runtime reads them."""

import pytest

from localcore.errors import RequirementError
from localcore.requirements import Version, check_component_name, parse_requirement


def test_versions_are_ordered_with_pre_releases_before_their_release() -> None:
    ordered = ["0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-2", "1.0.0", "1.2.0", "1.10.0"]
    ordered.sort(key=Version.parse)
    assert ordered == [
        "0.9.9",
        "1.0.0-2",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0",
        "1.2.0",
        "1.10.0",
    ]


@pytest.mark.parametrize("text", ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.x", "1.0.0 ", "NEXT_PATCH"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(RequirementError):
        Version.parse(text)


@pytest.mark.parametrize(
    ("requirement", "admitted", "refused"),
    [
        (">=1.0.0 <2.0.0", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        (">= 1.0.0 < 2.0.0", ["1.5.0"], ["2.0.0"]),
        ("1.2.3", ["1.2.3"], ["1.2.4", "1.2.2"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">1.0.0 <=1.2.0", ["1.0.1", "1.2.0"], ["1.0.0", "1.2.1"]),
        ("", ["0.0.1", "99.0.0"], []),
        ("*", ["1.0.0"], []),
    ],
)
@pytest.mark.parametrize("npm", [False, True])
def test_comparators_mean_the_same_on_both(
    requirement: str, admitted: list[str], refused: list[str], npm: bool
) -> None:
    parsed = parse_requirement(requirement, npm=npm)
    assert [version for version in admitted + refused if parsed.admits(version)] == admitted


@pytest.mark.parametrize(
    ("requirement", "admitted", "refused"),
    [
        ("^1.2.3", ["1.2.3", "1.9.0"], ["1.2.2", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "1.0.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^1", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0"]),
        ("~1.2", ["1.2.0"], ["1.3.0"]),
        ("~1", ["1.9.0"], ["2.0.0"]),
        ("1.x", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("1.2", ["1.2.5"], ["1.3.0"]),
        ("1.0.0 - 2.0.0", ["1.0.0", "2.0.0"], ["2.0.1"]),
        ("^1.0.0 || ^3.0.0", ["1.5.0", "3.1.0"], ["2.0.0", "4.0.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9", "1.0.0"], ["1.3.0"]),
    ],
)
def test_npm_notation_on_classic(requirement: str, admitted: list[str], refused: list[str]) -> None:
    parsed = parse_requirement(requirement, npm=True)
    assert [version for version in admitted + refused if parsed.admits(version)] == admitted


@pytest.mark.parametrize("requirement", ["^1.0.0", "~1.0.0", "1.x", ">=1.0.0 || >=2.0.0", "1.0.0 - 2.0.0", ">=1"])
def test_lite_refuses_npm_notation(requirement: str) -> None:
    with pytest.raises(RequirementError, match="lite does not read"):
        parse_requirement(requirement, npm=False)


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "a\0", "x" * 129])
def test_component_names_that_could_leave_their_folder_are_refused(name: str) -> None:
    with pytest.raises(RequirementError):
        check_component_name(name)
