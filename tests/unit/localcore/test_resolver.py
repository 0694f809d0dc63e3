"""Choosing versions of dependencies."""

from collections.abc import Mapping

import pytest

from localcore.errors import DeploymentError
from localcore.recipes import Dependency, Recipe
from localcore.requirements import parse_requirement
from localcore.resolver import resolve

Known = Mapping[tuple[str, str], Mapping[str, str]]


def choose(known: Known, roots: dict[str, str], placed: dict[str, str] | None = None) -> dict[str, str]:
    def load(name: str, version: str) -> Recipe:
        dependencies = {
            other: Dependency(parse_requirement(text, npm=True), "SOFT") for other, text in known[name, version].items()
        }
        return Recipe(name, version, {}, dependencies, {}, {}, ())

    def versions(name: str) -> list[str]:
        return [version for other, version in known if other == name]

    return {name: recipe.version for name, recipe in resolve(roots, placed or {}, versions, load).items()}


def test_the_newest_that_fits_or_the_one_in_place() -> None:
    known: Known = {("A", "1.0.0"): {"B": "^1.0.0"}, ("B", "1.2.0"): {}, ("B", "1.10.0"): {}, ("B", "2.0.0"): {}}
    assert choose(known, {"A": "1.0.0"}) == {"A": "1.0.0", "B": "1.10.0"}
    assert choose(known, {"A": "1.0.0"}, {"B": "1.2.0"}) == {"A": "1.0.0", "B": "1.2.0"}
    assert choose(known, {"A": "1.0.0"}, {"B": "2.0.0"}) == {"A": "1.0.0", "B": "1.10.0"}


def test_a_later_requirement_changes_an_earlier_choice() -> None:
    known: Known = {
        ("A", "1.0.0"): {"B": "*", "C": "*"},
        ("B", "1.0.0"): {},
        ("B", "2.0.0"): {"D": "*"},
        ("C", "1.0.0"): {"B": "<2.0.0"},
        ("D", "1.0.0"): {},
    }
    assert choose(known, {"A": "1.0.0"}) == {"A": "1.0.0", "B": "1.0.0", "C": "1.0.0"}


def test_cycles_are_allowed() -> None:
    known: Known = {("A", "1.0.0"): {"B": "*"}, ("B", "1.0.0"): {"A": "*"}}
    assert choose(known, {"A": "1.0.0"}) == {"A": "1.0.0", "B": "1.0.0"}


def test_contradictions_are_told() -> None:
    known: Known = {
        ("A", "1.0.0"): {"C": "^1.0.0"},
        ("B", "1.0.0"): {"C": "^2.0.0"},
        ("C", "1.0.0"): {},
        ("C", "2.0.0"): {},
    }
    with pytest.raises(DeploymentError, match=r"no local version of C satisfies '\^1.0.0' of A, '\^2.0.0' of B"):
        choose(known, {"A": "1.0.0", "B": "1.0.0"})


def test_choices_that_undo_each_other_end() -> None:
    known: Known = {
        ("A", "1.0.0"): {"B": "*"},
        ("B", "2.0.0"): {"C": "*"},
        ("B", "1.0.0"): {"D": "*"},
        ("C", "1.0.0"): {"B": "1.0.0"},
        ("D", "1.0.0"): {"B": "2.0.0"},
    }
    with pytest.raises(DeploymentError, match="no solution"):
        choose(known, {"A": "1.0.0"})
