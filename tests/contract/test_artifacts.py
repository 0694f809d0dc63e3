"""The zips that are deployed: what they hold, that they start with nothing but themselves, that a build repeats itself.

The first run unpacks and compresses all wheels (about a minute); the build's cache makes the next ones fast.
"""

import ast
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from linewatch_agent.backends.dlr.backend import installed_runtime

from components.builder.cli import main
from components.builder.table import ARCHITECTURES, ARTEFACTS, MEGABYTE, Artefact
from tools.recipes import ROOT

HOST = {"x86_64": "amd64", "aarch64": "aarch64"}[os.uname().machine]
PYTHON = "3.11"
# e_machine of an ELF file's header.
ELF_MACHINES = {"amd64": 62, "aarch64": 183}
VERSION = "1.0.0"

pytestmark = pytest.mark.timeout(300)  # the first test that needs a zip builds all of them


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """greengrass-build/ of every component for both architectures."""
    out = tmp_path_factory.mktemp("greengrass-build")
    assert main(ROOT, ["--architecture", "all", "--python", PYTHON, "--out", str(out), "--quiet"]) == 0
    return out


def zip_of(built: Path, artefact: Artefact, architecture: str) -> Path:
    return built / "artifacts" / artefact.component / VERSION / artefact.zip_name(architecture)


@pytest.fixture(params=ARTEFACTS, ids=lambda artefact: artefact.stem)
def artefact(request: pytest.FixtureRequest) -> Artefact:
    found: Artefact = request.param
    return found


@pytest.fixture(params=ARCHITECTURES)
def packed(request: pytest.FixtureRequest, built: Path, artefact: Artefact) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(zip_of(built, artefact, request.param)) as archive:
        yield archive


def description(archive: zipfile.ZipFile) -> dict[str, object]:
    found: dict[str, object] = json.loads(archive.read("bundle.json"))
    return found


def test_the_layout_is_what_a_local_deployment_takes(built: Path) -> None:
    assert sorted(path.name for path in (built / "recipes").iterdir()) == sorted(
        f"{artefact.component}-{VERSION}.json" for artefact in ARTEFACTS
    )
    assert sorted(path.relative_to(built / "artifacts") for path in (built / "artifacts").rglob("*.zip")) == sorted(
        Path(artefact.component, VERSION, artefact.zip_name(name)) for artefact in ARTEFACTS for name in ARCHITECTURES
    )


def test_size(artefact: Artefact, packed: zipfile.ZipFile) -> None:
    assert artefact.limit_mb <= (130 if artefact.stem == "agent" else 95)
    assert packed.filename is not None
    assert Path(packed.filename).stat().st_size <= artefact.limit_mb * MEGABYTE


def test_entries_are_the_same_in_every_build(packed: zipfile.ZipFile) -> None:
    infos = packed.infolist()
    assert len({info.filename for info in infos}) == len(infos)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.external_attr >> 16 for info in infos} == {0o100644}
    third_party = [info.filename for info in infos if info.filename.startswith("lib/")]
    assert infos[-1].filename == "bundle.json", "whoever unpacks in order writes it last"
    assert "__main__.py" in packed.namelist()
    assert not [name for name in third_party if "__pycache__" in name or name.startswith("lib/bin/")]
    assert not [name for name in third_party if name.endswith((".dist-info/RECORD", ".pyc", ".dist-info/INSTALLER"))]


def test_the_description_counts_what_is_there(artefact: Artefact, packed: zipfile.ZipFile) -> None:
    found = description(packed)
    files = [info for info in packed.infolist() if info.filename != "bundle.json"]
    assert found["component"] == artefact.component
    assert found["files"] == len(files)
    assert found["size"] == sum(info.file_size for info in files)


def test_every_library_is_for_the_architecture(packed: zipfile.ZipFile) -> None:
    architecture = str(description(packed)["architecture"])
    libraries = [name for name in packed.namelist() if ".so" in Path(name).suffixes]
    assert libraries
    for name in libraries:
        with packed.open(name) as file:
            header = file.read(20)
        assert header[:4] == b"\x7fELF", name
        assert int.from_bytes(header[18:20], "little") == ELF_MACHINES[architecture], name


def test_licences_are_in_it(packed: zipfile.ZipFile) -> None:
    folders = {name.split("/")[1] for name in packed.namelist() if ".dist-info/" in name}
    assert folders
    for folder in folders:
        assert f"lib/{folder}/METADATA" in packed.namelist()


def test_nobody_brings_what_it_must_do_without(artefact: Artefact, packed: zipfile.ZipFile) -> None:
    top = {name.split("/")[1] for name in packed.namelist() if name.startswith("lib/") and name.count("/") > 1}
    forbidden = {"cv2"} if artefact.stem == "agent" else {"openvino", "boto3", "botocore"}
    if artefact.group == "model":
        forbidden |= {"numpy", "cv2", "grpc"}
    assert not top & (forbidden | {"onnxruntime", "torch", "dlr", "openvino_telemetry", "pytest"})
    ours = {name for name in top if name.startswith("linewatch_")}
    assert ours == set(artefact.packages)


def test_imports_between_our_packages_are_packed(artefact: Artefact) -> None:
    """Components never import each other, and what they import of ours is in the table."""
    imported = set[str]()
    for package in artefact.packages:
        (folder,) = (ROOT / "components").glob(f"*/{package}")
        for path in folder.rglob("*.py"):
            imported |= {name for name in _imports(path) if name.startswith("linewatch_")}
    assert imported <= set(artefact.packages)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def no_network() -> str | None:
    """Why this machine cannot make a name space without network and with a read-only folder; None when it can."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run(["unshare", "-rnm", "true"], capture_output=True, text=True, check=False, timeout=30)
    return None if tried.returncode == 0 else f"unshare -rn is not allowed here: {tried.stderr.strip()}"


def in_quarantine(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run with no network, `folder` read-only even for root, and none of the developer's environment."""
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'
    return subprocess.run(
        ["unshare", "-rnm", "sh", "-c", script, str(folder), *command],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.fixture
def unpacked(built: Path, artefact: Artefact, tmp_path: Path) -> Path:
    reason = no_network()
    if reason is not None:
        pytest.skip(reason)
    with zipfile.ZipFile(zip_of(built, artefact, HOST)) as archive:
        archive.extractall(tmp_path / "unpacked")
    return tmp_path / "unpacked"


def files_below(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_selfcheck_without_network_in_a_read_only_folder(artefact: Artefact, unpacked: Path) -> None:
    before = files_below(unpacked)
    done = in_quarantine(unpacked, [f"python{PYTHON}", "-I", str(unpacked), "--selfcheck"])
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 1, "one line"
    assert "OK" in lines[0]
    assert files_below(unpacked) == before


def test_whatever_is_packed_can_be_imported(artefact: Artefact, unpacked: Path) -> None:
    """Trimming has not cut off anything that an import needs."""
    names = sorted(
        path.stem
        for path in (unpacked / "lib").iterdir()
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.is_file())
    )
    program = (
        f"import importlib\nfor name in {names!r}: importlib.import_module(name)\n{EXERCISE.get(artefact.stem, '')}"
    )
    done = in_quarantine(
        unpacked, ["env", f"PYTHONPATH={unpacked / 'lib'}", f"python{PYTHON}", "-S", "-s", "-P", "-B", "-c", program]
    )
    assert done.returncode == 0, done.stderr


# `pip install --target FOLDER PACKAGE` on a device: a model's file and what runs it there.
EXTRAS = {
    "ai_edge_litert": ("score.tflite", "litert_backend.LiteRtBackend"),
    "onnxruntime": ("score.onnx", "onnxruntime_backend.OnnxRuntimeBackend"),
    "dlr": ("neo/score/compiled.so", "dlr.backend.DlrBackend"),
}
_BY_EXTRA = """
import importlib, sys
from pathlib import Path
from linewatch_agent.errors import NotLoadableError
from linewatch_agent.extras import admit_extras
module, _, name = sys.argv[1].rpartition(".")
backend = getattr(importlib.import_module("linewatch_agent.backends." + module), name)(1)
try:
    backend.load(Path(sys.argv[2]))
except NotLoadableError as error:
    assert "extra" in str(error), error
else:
    sys.exit("it is there before it was admitted")
admit_extras(Path(sys.argv[3]))
import numpy
picture = numpy.full((1, 4, 4, 3), 51, numpy.uint8)
print(round(backend.load(Path(sys.argv[2])).predict({"picture": picture})["score"].item(), 3))
"""


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_found_beside_the_artefact(built: Path, tmp_path: Path, extra: str) -> None:
    """A component's process sees nothing of the system's Python; what is in its folder for extras it does."""
    if importlib.util.find_spec(extra) is None:  # not imported: dlr's Python part calls home
        pytest.skip(f"the extra {extra} is not installed")
    agent = next(artefact for artefact in ARTEFACTS if artefact.stem == "agent")
    with zipfile.ZipFile(zip_of(built, agent, HOST)) as archive:
        archive.extractall(tmp_path / "unpacked")
    site = Path(sysconfig.get_path("platlib"))
    (tmp_path / "work/extras").mkdir(parents=True)
    for name in (extra, "flatbuffers"):
        if (site / name).is_dir():
            shutil.copytree(site / name, tmp_path / "work/extras" / name)
    if extra == "dlr":  # all that `pip install --upgrade --target` leaves of it
        library = installed_runtime()
        assert library is not None
        shutil.rmtree(tmp_path / "work/extras/dlr")
        shutil.copytree(library.parent, tmp_path / "work/extras/dlr")
    model, backend = EXTRAS[extra]
    done = subprocess.run(
        [
            f"python{PYTHON}",
            "-S",
            "-s",
            "-P",
            "-B",
            "-c",
            _BY_EXTRA,
            backend,
            ROOT / "tests/data/models" / model,
            "work",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "unpacked/lib")},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stdout.strip() == "0.2", done.stderr


# What an import alone would not show to be missing.
_CLIENTS = """
import boto3
for service in ("s3", "sts"):
    boto3.client(service, region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")
import numpy.testing, google.protobuf.descriptor_pool, awsiot.greengrasscoreipc.clientv2
import openvino
assert "CPU" in openvino.Core().available_devices
"""
_PICTURES = """
import numpy, numpy.testing, awsiot.greengrasscoreipc.clientv2, cv2
picture = numpy.zeros((64, 64, 3), numpy.uint8)
for kind in (".png", ".jpg", ".bmp", ".tiff"):
    assert cv2.imdecode(cv2.imencode(kind, picture)[1], cv2.IMREAD_UNCHANGED).shape == picture.shape
assert "FFMPEG" in [cv2.videoio_registry.getBackendName(i) for i in cv2.videoio_registry.getBackends()]
"""
EXERCISE = {"agent": _CLIENTS, "camera": _PICTURES, "inspector": _PICTURES}


def test_a_build_repeats_itself_byte_for_byte(tmp_path: Path) -> None:
    """From nothing, twice, under another umask, time zone, locale and hash seed."""
    command = [sys.executable, str(ROOT / "components/build.py"), "--component", "dashboard", "--architecture", "host"]
    command += ["--component", "surface-classifier", "--quiet"]
    outs = []
    for name, umask, extra in (
        ("a", 0o022, {"TZ": "UTC", "PYTHONHASHSEED": "1"}),
        ("b", 0o077, {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "2"}),
    ):
        out = tmp_path / name
        arguments = ["--out", str(out), "--cache", str(tmp_path / f"cache-{name}")]
        subprocess.run(
            [*command, *arguments], env={**os.environ, **extra}, umask=umask, check=True, cwd="/", timeout=200
        )
        outs.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert len(outs[0]) == 4
    assert outs[0] == outs[1]
