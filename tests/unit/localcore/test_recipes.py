"""Recipes: platform, case, limits, steps, dependencies."""

import json
from pathlib import Path
from typing import Any

import pytest

from localcore.errors import RecipeError
from localcore.recipes import Recipe, load_recipe, read_recipe
from localcore.runtime import RUNTIMES, host_architecture


def document(**changes: Any) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": "com.example.A",
        "ComponentVersion": "1.0.0",
        "Manifests": [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"run": "exec sleep 1"}}],
    }
    return {**recipe, **changes}


def manifest(platform: dict[str, str], script: str = "x") -> dict[str, Any]:
    return {"Platform": platform, "Lifecycle": {"run": {"Script": script}}}


def read(like: str, **changes: Any) -> Recipe:
    return read_recipe(document(**changes), RUNTIMES[like])


def with_lifecycle(lifecycle: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": lifecycle}]


@pytest.mark.parametrize("like", ["classic", "lite"])
def test_the_first_manifest_that_matches_is_taken(like: str) -> None:
    manifests = [
        manifest({"os": "windows", "runtime": "*"}, "windows"),
        manifest({"os": "linux", "runtime": "*", "architecture": "riscv"}, "riscv"),
        manifest({"os": "linux", "runtime": "*", "architecture": host_architecture()}, "mine"),
        manifest({"os": "linux", "runtime": "*"}, "any"),
    ]
    assert read(like, Manifests=manifests).steps["run"].script == "mine"


@pytest.mark.parametrize(
    ("platform", "classic", "lite"),
    [
        ({"os": "linux"}, True, False),
        ({"os": "linux", "runtime": "*"}, True, True),
        ({"os": "linux", "runtime": "aws_nucleus_lite"}, False, True),
        ({"runtime": "*"}, True, False),
        ({}, True, False),
        ({"os": "/linux|darwin/", "runtime": "*"}, True, False),
        ({"os": "linux", "runtime": "*", "gpu": "*"}, True, True),
        ({"os": "linux", "runtime": "*", "gpu": "yes"}, False, True),
    ],
)
def test_platform_rules(platform: dict[str, str], classic: bool, lite: bool) -> None:
    for like, expected in (("classic", classic), ("lite", lite)):
        if expected:
            assert "run" in read(like, Manifests=[manifest(platform)]).steps
        else:
            with pytest.raises(RecipeError, match="no manifest matches"):
                read(like, Manifests=[manifest(platform)])


def test_lite_refuses_another_case_and_classic_does_not_care() -> None:
    lifecycle = {"run": {"script": "echo", "requiresPrivilege": True}}
    with pytest.raises(RecipeError, match=r"'script': lite is case-sensitive and wants 'Script'"):
        read("lite", Manifests=with_lifecycle(lifecycle))
    recipe = read("classic", Manifests=with_lifecycle({"RUN": {"script": "echo", "setenv": {"aB": "c"}, "TIMEOUT": 5}}))
    assert recipe.steps["run"].script == "echo"
    assert recipe.steps["run"].setenv == {"aB": "c"}
    assert recipe.steps["run"].timeout_s == 5.0


@pytest.mark.parametrize("like", ["classic", "lite"])
def test_keys_of_the_author_keep_their_case(like: str) -> None:
    recipe = read(like, ComponentConfiguration={"DefaultConfiguration": {"RUN": 1, "os": {"URI": 2}}})
    assert recipe.default_configuration == {"RUN": 1, "os": {"URI": 2}}


def test_dependencies() -> None:
    section = {"com.example.B": {"VersionRequirement": ">=1.0.0 <2.0.0", "DependencyType": "SOFT"}, "run": {}}
    lite = read("lite", ComponentDependencies=section)
    assert lite.dependencies["com.example.B"].kind == "SOFT"
    assert lite.dependencies["run"].kind == "NONE"
    assert "no DependencyType" in lite.warnings[0]
    assert read("classic", ComponentDependencies=section).dependencies["run"].kind == "HARD"
    with pytest.raises(RecipeError, match="neither HARD nor SOFT"):
        read("lite", ComponentDependencies={"B": {"DependencyType": "MAYBE"}})


def test_setenv_values_are_strings_on_lite() -> None:
    lifecycle = {"Setenv": {"A": "1"}, "run": {"Script": "x", "Setenv": {"B": 5}}}
    with pytest.raises(RecipeError, match="Setenv B is not a string"):
        read("lite", Manifests=with_lifecycle(lifecycle))
    recipe = read("classic", Manifests=with_lifecycle(lifecycle))
    assert recipe.setenv == {"A": "1"}
    assert recipe.steps["run"].setenv == {"B": "5"}


def test_unserved_steps_are_skipped_with_a_warning() -> None:
    recipe = read("lite", Manifests=with_lifecycle({"run": "x", "startup": "y", "shutdown": "z"}))
    assert set(recipe.steps) == {"run"}
    assert [warning.split()[2] for warning in recipe.warnings] == ["startup", "shutdown"]


def test_artifacts() -> None:
    artifacts = [{"Uri": "s3://bucket/a/b.zip", "Unarchive": "ZIP"}, {"Uri": "s3://bucket/c.txt"}]
    recipe = read("lite", Manifests=[{**manifest({"os": "linux", "runtime": "*"}), "Artifacts": artifacts}])
    assert [(item.filename, item.unarchive) for item in recipe.artifacts] == [("b.zip", True), ("c.txt", False)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ComponentName": "../x"}, "component name"),
        ({"ComponentName": None}, "ComponentName is missing"),
        ({"ComponentVersion": "1.0"}, "not of the form"),
        ({"Manifests": {}}, "not a list"),
        ({"Manifests": ["x"]}, "not a map"),
        ({"Manifests": with_lifecycle({"run": {}})}, "no Script"),
        ({"Manifests": with_lifecycle({"run": {"Script": "x", "Timeout": "soon"}})}, "not a number"),
        ({"Manifests": with_lifecycle({"run": {"Script": "x", "Timeout": -1}})}, "not above 0"),
        (
            {"ComponentDependencies": {"B": {"VersionRequirement": "^1.0.0", "DependencyType": "HARD"}}},
            "lite does not read",
        ),
        ({"ComponentConfiguration": []}, "not a map"),
    ],
)
def test_bad_recipes_are_refused_with_the_reason(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "com.example.A-1.0.0.json"
    path.write_text(json.dumps(document(**changes)))
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path, RUNTIMES["lite"])
    assert path.name in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 1100, "[1]", "null"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    for suffix in ("json", "yaml"):
        path = tmp_path / f"a.{suffix}"
        path.write_text(text)
        with pytest.raises(RecipeError, match=path.name):
            load_recipe(path, RUNTIMES["lite"])


def test_lite_limits_the_file_to_8196_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(document())
    path.write_text(text + " " * (8196 - len(text)))
    assert load_recipe(path, RUNTIMES["lite"]).name == "com.example.A"
    path.write_text(text + " " * (8197 - len(text)))
    with pytest.raises(RecipeError, match="8197 B is over the limit of 8196"):
        load_recipe(path, RUNTIMES["lite"])
    assert load_recipe(path, RUNTIMES["classic"]).name == "com.example.A"


YAML = """
RecipeFormatVersion: "2020-01-25"
ComponentName: com.example.A
ComponentVersion: 1.0.0
ComponentConfiguration:
  DefaultConfiguration: {rate: 5, "on": true}
Manifests:
  - Platform: {os: linux, runtime: "*"}
    Lifecycle: {run: {Script: "exec sleep 1", Timeout: 30}}
"""


def test_yaml_scalars_become_strings_on_lite_and_keep_their_type_on_classic(tmp_path: Path) -> None:
    path = tmp_path / "com.example.A-1.0.0.yaml"
    path.write_text(YAML)
    lite, classic = (load_recipe(path, RUNTIMES[like]) for like in ("lite", "classic"))
    assert lite.default_configuration == {"rate": "5", "on": "true"}
    assert classic.default_configuration == {"rate": 5, "on": True}
    assert lite.steps["run"].timeout_s == classic.steps["run"].timeout_s == 30.0
