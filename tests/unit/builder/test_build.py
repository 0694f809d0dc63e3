"""The command, from arguments to greengrass-build/, on a small checkout."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.builder.archive import write_archive
from components.builder.assembly import Order, build_zip, read_inputs
from components.builder.cache import Cache
from components.builder.cli import main
from components.builder.configuration import with_site
from components.builder.errors import BuildError
from components.builder.table import ARCHITECTURES, artefact_of
from components.builder.wheels import find_uv
from tests.unit.builder.conftest import MODEL, write_package


def run(root: Path, *arguments: str) -> int:
    return main(root, ["--component", MODEL, "--architecture", "amd64", "--quiet", *arguments])


def zip_path(root: Path, version: str = "1.0.0", architecture: str = "amd64") -> Path:
    return root / f"greengrass-build/artifacts/{MODEL}/{version}/surface-classifier-{architecture}.zip"


def description(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("bundle.json"))
    return found


def test_recipe_and_artefact_lie_where_a_local_deployment_looks(root: Path) -> None:
    assert run(root) == 0
    recipe = json.loads((root / f"greengrass-build/recipes/{MODEL}-1.0.0.json").read_text())
    uri = recipe["Manifests"][0]["Artifacts"][0]["Uri"]
    assert uri == f"s3://BUCKET_NAME/{MODEL}/1.0.0/surface-classifier-amd64.zip"
    with zipfile.ZipFile(zip_path(root)) as archive:
        names = archive.namelist()
    assert {"__main__.py", "linewatch_launcher/main.py", "package/manifest.json"} <= set(names)
    assert {"lib/linewatch_common/__init__.py", "lib/linewatch_model/__init__.py"} <= set(names)


def test_a_second_build_makes_nothing_and_a_change_makes_it_anew(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = []
    for change in (None, None, "a", "a", "b"):
        if change:
            (root / "components/common/linewatch_common/new.py").write_text(change)
        assert run(root) == 0
        states.append("as before" not in capsys.readouterr().out)
    assert states == [True, False, True, False, True]


def test_an_outdated_zip_for_another_architecture_does_not_stay(root: Path) -> None:
    assert run(root, "--architecture", "all") == 0
    assert run(root) == 0
    assert zip_path(root, architecture="aarch64").exists(), "of the same sources"
    (root / "components/common/linewatch_common/new.py").write_text("")
    assert run(root) == 0
    assert zip_path(root).exists()
    assert not zip_path(root, architecture="aarch64").exists()


def test_the_same_sources_give_the_same_bytes_whatever_was_built_in_between(root: Path) -> None:
    change = root / "components/common/linewatch_common/new.py"
    seen = []
    for text in ("a", "b", "a"):
        change.write_text(text)
        assert run(root) == 0
        seen.append(zip_path(root).read_bytes())
    assert seen[0] == seen[2] != seen[1]


def test_a_sites_configuration_becomes_the_defaults(root: Path, tmp_path: Path) -> None:
    """For lite, whose command line cannot set any."""
    site = tmp_path / "line2.json"
    site.write_text(json.dumps({MODEL: {"MERGE": {"Station": "line2"}}, "com.linewatch.Camera": {"MERGE": {}}}))
    assert run(root, "--config", str(site)) == 0
    recipe = json.loads((root / f"greengrass-build/recipes/{MODEL}-1.0.0.json").read_text())
    configuration = recipe["ComponentConfiguration"]["DefaultConfiguration"]
    assert configuration["Station"] == "line2"
    assert "accessControl" in configuration


def test_maps_of_the_configuration_are_merged_key_by_key() -> None:
    recipe = {
        "ComponentName": "N",
        "ComponentConfiguration": {"DefaultConfiguration": {"Source": {"Kind": "a", "Path": ""}}},
    }
    merged = with_site(recipe, {"Source": {"Path": "/x"}})
    assert merged["ComponentConfiguration"]["DefaultConfiguration"] == {"Source": {"Kind": "a", "Path": "/x"}}
    assert recipe["ComponentConfiguration"] == {"DefaultConfiguration": {"Source": {"Kind": "a", "Path": ""}}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", "want "),
        ("[]", "want "),
        (json.dumps({MODEL: {"RESET": []}}), "MERGE only"),
        (json.dumps({"Camra": {"MERGE": {}}}), "Camra: no such component"),
        (json.dumps({MODEL: {"MERGE": {"Statoin": "x"}}}), "there is no key 'Statoin'; did you mean Station?"),
        (json.dumps({MODEL: {"MERGE": {"Station": {}}}}), "Station is no map"),
        (json.dumps({MODEL: {"MERGE": {"accessControl": {}}}}), "accessControl stays"),
    ],
)
def test_a_wrong_configuration_is_one_clear_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, line: str
) -> None:
    (tmp_path / "site.json").write_text(text)
    assert run(root, "--config", str(tmp_path / "site.json")) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_a_file_that_python_or_an_editor_leaves_is_not_packed(root: Path) -> None:
    folder = root / "components/common/linewatch_common"
    for name in ("__pycache__/x.cpython-311.pyc", ".x.py.swp", "x.pyi"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    assert run(root) == 0
    with zipfile.ZipFile(zip_path(root)) as archive:
        ours = [name for name in archive.namelist() if "linewatch_common" in name]
    assert ours == ["lib/linewatch_common/__init__.py"]


def test_another_version_and_package_for_an_update(root: Path, tmp_path: Path) -> None:
    package = write_package(tmp_path / "package", "2.3.4")
    assert run(root, "--package", f"{MODEL}={package}") == 0
    assert description(zip_path(root, "2.3.4"))["version"] == "2.3.4"
    recipe = json.loads((root / f"greengrass-build/recipes/{MODEL}-2.3.4.json").read_text())
    assert recipe["ComponentVersion"] == "2.3.4"


def test_another_python_changes_recipe_and_artefact(root: Path) -> None:
    assert run(root, "--python", "3.12") == 0
    recipe = (root / f"greengrass-build/recipes/{MODEL}-1.0.0.json").read_text()
    assert "python3.12 -I" in recipe
    assert "3.11" not in recipe
    assert description(zip_path(root))["python"] == "3.12"


def test_gdk_finds_the_recipe_under_its_names(root: Path) -> None:
    agent = "com.linewatch.EdgeAgent"
    (root / f"recipes/{agent}.json").write_text((root / f"recipes/{MODEL}.json").read_text().replace(MODEL, agent))
    for folder in ("common/linewatch_vision", "common/linewatch_agent_api", "agent/linewatch_agent"):
        (root / "components" / folder).mkdir(parents=True)
        (root / "components" / folder / "__init__.py").write_text("")
    (root / "locks/agent.txt").write_text("")
    assert run(root, "--component", agent, "--gdk") == 0
    names = {path.name for path in (root / "greengrass-build/recipes").iterdir()}
    assert names == {f"{MODEL}-1.0.0.json", f"{agent}-1.0.0.json", f"{agent}.json", "recipe.json"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--component", "Camra"], "Camra: no such component"),
        (["--python", "2.7"], "want 3.11 or later"),
        (["--python", "three"], "want 3.11 or later"),
        (["--version", "camera"], "want NAME=VALUE"),
        (["--version", f"{MODEL}=NEXT_PATCH"], "want three numbers"),
        (["--version", f"{MODEL}=1.0.1"], "holds SurfaceClassifier 1.0.0"),
        (["--package", f"{MODEL}=/nonexistent"], "no model package"),
    ],
)
def test_wrong_arguments_are_one_clear_line(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert run(root, *arguments) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert not zip_path(root).exists()


def test_what_cannot_be_built_does_not_keep_the_rest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--component", "camera") == 1
    assert "com.linewatch.Camera.json" in capsys.readouterr().err
    assert zip_path(root).exists()


def test_a_missing_package_of_ours_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "components/model/linewatch_model/__init__.py").unlink()
    assert run(root) == 1
    assert "components/*/linewatch_model: 0 packages" in capsys.readouterr().err


def test_a_missing_lock_file_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "locks/model.txt").unlink()
    assert run(root) == 1
    assert "locks/model.txt" in capsys.readouterr().err


def test_a_wheel_that_is_not_locked_by_a_hash_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "locks/model.txt").write_text("msgspec==0.22.0\n")
    assert run(root) == 1
    said = capsys.readouterr().err
    assert "locks/model.txt" in said
    assert "hash" in said


def test_an_artefact_over_its_limit_is_refused(root: Path, tmp_path: Path) -> None:
    order = Order(replace(artefact_of(MODEL), limit_mb=0), "1.0.0", ARCHITECTURES["amd64"], "3.11", None)
    layer = (tmp_path / "layer.zip", write_archive(tmp_path / "layer.zip", [], lambda _: None))
    cache = Cache(tmp_path / "cache")
    with pytest.raises(BuildError, match=r"surface-classifier-amd64\.zip is 0\.0 MB, at most 0 MB"):
        build_zip(order, read_inputs(order, root), cache, layer)
    assert not list((tmp_path / "cache").rglob("*.zip"))


def test_uv_is_found_on_the_path_or_said_to_be_missing(tmp_path: Path) -> None:
    python = str(tmp_path / "bin/python")
    with pytest.raises(BuildError, match="uv is missing: run `make setup`"):
        find_uv(tmp_path, {"PATH": str(tmp_path)}, python)
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    assert find_uv(tmp_path, {"PATH": str(tmp_path)}, python) == str(uv)
