"""A package becomes a component version: any model's, by the same build as the bundle's, with its signature."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from linewatch_common.errors import InputError, PackageError

from model_build.__main__ import main
from model_build.packaging.component import Workshop, build_component
from model_build.packaging.keys import TrustedKeys, read_trusted
from tests.unit.agent.support import make_package
from tests.unit.builder.conftest import root as root  # noqa: PLC0414 - the fixture of the small checkout
from tools.recipes import ROOT

NAME = "com.linewatch.model.HousingInspector"


@pytest.fixture
def workshop(root: Path) -> Workshop:
    return Workshop(root, root / ".cache", "amd64")


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """OUT/<identifier> of a signed package."""
    source = make_package(tmp_path / "source", name="HousingInspector", version="2.1.0")
    assert main(["key", str(tmp_path / "key.pem")]) == 0
    key = ["--key", str(tmp_path / "key.pem"), "--approver", "anna"]
    assert main(["sign", str(source), str(tmp_path / "packages"), *key]) == 0
    return tmp_path / "packages" / "HousingInspector-2-1-0"


@pytest.mark.parametrize("form", ["place", "archive", "folder"])
def test_a_signed_package_becomes_recipe_and_zip_with_its_signature(
    form: str, signed: Path, workshop: Workshop, tmp_path: Path
) -> None:
    given = {"place": signed, "archive": Path(f"{signed}.tar.gz"), "folder": signed / "package"}[form]
    out = tmp_path / "out"
    trusted = read_trusted([tmp_path / "key.pem.pub"])
    assert build_component(given, out, workshop, trusted) == f"{NAME} 2.1.0"
    (recipe_file,) = (out / "recipes").iterdir()
    recipe = json.loads(recipe_file.read_bytes())
    assert (recipe_file.name, recipe["ComponentName"]) == (f"{NAME}-2.1.0.json", NAME)
    assert "SurfaceClassifier" not in recipe_file.read_text()
    assert recipe["Manifests"][0]["Artifacts"][0]["Uri"].endswith(f"/{NAME}/2.1.0/housing-inspector-amd64.zip")
    with zipfile.ZipFile(out / "artifacts" / NAME / "2.1.0" / "housing-inspector-amd64.zip") as archive:
        assert archive.read("signature.json") == (signed / "signature.json").read_bytes()
        assert archive.read("package/manifest.json") == (signed / "package/manifest.json").read_bytes()


def test_a_models_recipe_differs_from_the_shipped_ones_in_its_name_alone(
    signed: Path, workshop: Workshop, tmp_path: Path
) -> None:
    """So the rules that tests/contract/test_recipes.py checks hold for it too."""
    build_component(signed, tmp_path / "out", workshop)
    ours = json.loads((tmp_path / "out" / "recipes" / f"{NAME}-2.1.0.json").read_bytes())
    shipped = json.loads((ROOT / "recipes/com.linewatch.model.SurfaceClassifier.json").read_bytes())
    text = json.dumps({**shipped, "ComponentVersion": "2.1.0", "ComponentDescription": ours["ComponentDescription"]})
    text = text.replace("COMPONENT_NAME/COMPONENT_VERSION", f"{NAME}/2.1.0")
    text = text.replace("com.linewatch.model.SurfaceClassifier", NAME).replace(
        "surface-classifier", "housing-inspector"
    )
    assert ours == json.loads(text)


def test_what_is_not_approved_becomes_no_component(signed: Path, workshop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(PackageError, match="signed by unknown key"):
        build_component(signed, out, workshop, TrustedKeys({}))
    (signed / "package" / "extra.py").write_text("x")
    with pytest.raises(PackageError, match=r"'extra\.py' is not in the manifest"):
        build_component(signed, out, workshop)
    shutil.rmtree(signed / "package")
    with pytest.raises(PackageError, match="no package in it"):
        build_component(signed, out, workshop)
    assert not out.exists()


@pytest.mark.parametrize("name", ["copy", "package"])
def test_a_signature_stands_for_the_package_beside_it_alone(
    name: str, signed: Path, workshop: Workshop, tmp_path: Path
) -> None:
    """A copy with another threshold, beside the approved package or away from it, is not what was approved."""
    copy = signed / name if name == "copy" else tmp_path / "elsewhere" / name
    shutil.copytree(signed / "package", copy)
    manifest = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(manifest.replace('"fail": 0.8', '"fail": 0.99'))
    with pytest.raises(PackageError, match="is not signed"):
        build_component(copy, tmp_path / "out", workshop, read_trusted([tmp_path / "key.pem.pub"]))
    assert not (tmp_path / "out").exists()


def test_a_build_that_fails_says_why(signed: Path, workshop: Workshop, tmp_path: Path) -> None:
    (workshop.root / "locks/model.txt").unlink()
    with pytest.raises(InputError, match=r"model\.txt: No such file"):
        build_component(signed, tmp_path / "out", workshop)
