"""A small checkout that builds in no time: one model component, no wheels, a package of a few bytes."""

import json
from pathlib import Path

import pytest

from tools.recipes import ROOT

MODEL = "com.linewatch.model.SurfaceClassifier"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The checkout's folder."""
    root = tmp_path / "checkout"
    for folder in ("recipes", "locks", "components"):
        (root / folder).mkdir(parents=True)
    (root / "components/launcher").symlink_to(ROOT / "components/launcher")
    for folder in ("common/linewatch_common", "model/linewatch_model"):
        (root / "components" / folder).mkdir(parents=True)
        (root / "components" / folder / "__init__.py").write_text("")
    (root / "locks/model.txt").write_text("")
    (root / f"recipes/{MODEL}.json").write_bytes((ROOT / f"recipes/{MODEL}.json").read_bytes())
    write_package(root / "components/models/SurfaceClassifier")
    return root


def write_package(folder: Path, version: str = "1.0.0", name: str = "SurfaceClassifier") -> Path:
    """A model package that has nothing but a name and a version."""
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"name": name, "version": version}))
    return folder
