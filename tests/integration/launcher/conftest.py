"""A tiny project and a tiny artefact, made by the real builder."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from components.builder.archive import write_archive
from components.builder.assembly import Order, build_zip, read_inputs
from components.builder.cache import Cache
from components.builder.table import ARCHITECTURES, artefact_of
from tools.recipes import ROOT

HOST = {"x86_64": "amd64", "aarch64": "aarch64"}[os.uname().machine]

# Says what it was started with, and does what a test asks of it.
COMPONENT = """
import json, os, pathlib, sys, time
say = {name: os.environ.get(name) for name in os.environ if name.startswith(("LINEWATCH_", "PYTHON"))}
print(json.dumps({"arguments": sys.argv[1:], "flags": [sys.flags.no_site, sys.flags.safe_path], "pid": os.getpid(),
                  "file": __file__, **say}), flush=True)
if "LINEWATCH_TEST_WAIT" in os.environ:
    while not pathlib.Path(os.environ["LINEWATCH_TEST_WAIT"]).exists():
        time.sleep(0.02)
sys.exit(int(os.environ.get("LINEWATCH_TEST_EXIT", "0")))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with one model component, no third-party wheels and a package of a few bytes."""
    root = tmp_path / "checkout"
    for folder in ("recipes", "locks", "components/common/linewatch_common", "components/model/linewatch_model"):
        (root / folder).mkdir(parents=True)
    (root / "components/launcher").symlink_to(ROOT / "components/launcher")
    for folder in ("common/linewatch_common", "model/linewatch_model"):
        (root / "components" / folder / "__init__.py").write_text("")
    (root / "components/model/linewatch_model/__main__.py").write_text(COMPONENT)
    name = "com.linewatch.model.SurfaceClassifier.json"
    (root / "recipes" / name).write_bytes((ROOT / "recipes" / name).read_bytes())
    package = root / "components/models/SurfaceClassifier"
    package.mkdir(parents=True)
    (package / "manifest.json").write_text(json.dumps({"name": "SurfaceClassifier", "version": "1.0.0"}))
    return root


@pytest.fixture
def make_zip(root: Path, tmp_path: Path) -> "ZipMaker":
    return ZipMaker(root, tmp_path)


class ZipMaker:
    """Makes real artefacts without wheels."""

    def __init__(self, root: Path, tmp_path: Path) -> None:
        self._root = root
        self._tmp = tmp_path

    def __call__(
        self,
        version: str = "1.0.0",
        *,
        python: str = "3.11",
        architecture: str = HOST,
        installs: bool = True,
        extra: str = "",
    ) -> Path:
        """A zip of the tiny component; another `extra` makes another content of the same version."""
        artefact = replace(artefact_of("com.linewatch.model.SurfaceClassifier"), installs=installs)
        package = self._root / "components/models/SurfaceClassifier"
        (package / "extra").write_text(extra)
        (self._root / "locks/model.txt").write_text("")
        order = Order(artefact, version, ARCHITECTURES[architecture], python, package)
        base = self._tmp / "base.zip"
        content = write_archive(base, [("lib/third_party.py", b"x = 1\n")], lambda _: None)
        made = build_zip(order, read_inputs(order, self._root), Cache(self._tmp / "cache"), (base, content))
        target = self._tmp / "artifacts" / version / artefact.zip_name(HOST)
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)
        return target
