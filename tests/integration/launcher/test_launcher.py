"""The launcher in real processes: unpacking, starting, keeping what is in use, and every way in which it can go wrong."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.launcher.conftest import HOST, ZipMaker

Said = dict[str, Any]
OTHER = {"amd64": "aarch64", "aarch64": "amd64"}[HOST]


def launch(source: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-B", str(source), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def said(done: subprocess.CompletedProcess[str]) -> Said:
    """What the component printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    found: Said = json.loads(done.stdout.splitlines()[-1])
    return found


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a failure."""
    assert done.returncode != 0
    assert done.stderr == "", "no traceback"
    (line,) = [line for line in done.stdout.splitlines() if " ERROR " in line]
    return line


def versions(work: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (work / "bundles").glob("*") if path.is_dir())


@contextmanager
def running(source: Path, work: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The component, running from its unpacked folder until the block ends."""
    end = tmp_path / f"end-{source.parent.name}"
    process = subprocess.Popen(
        [sys.executable, "-I", str(source), "run", "--work", str(work)],
        env={**os.environ, "LINEWATCH_TEST_WAIT": str(end)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        while "arguments" not in process.stdout.readline():
            assert process.poll() is None
        yield process
    finally:
        end.touch()
        process.communicate(timeout=30)


def test_install_unpacks_where_the_runtime_has_not_and_hands_over(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    archive = make_zip()
    found = said(launch(archive, "install", "--work", f"{work}/", "--decompressed", str(tmp_path / "nothing")))
    (folder,) = [path for path in (work / "bundles").iterdir() if path.is_dir()]
    assert found["arguments"] == ["install"]
    assert found["file"] == str(folder / "lib/linewatch_model/__main__.py")
    assert found["LINEWATCH_WORK"] == str(work)
    assert found["LINEWATCH_PACKAGE"] == str(folder / "package")
    assert (found["LINEWATCH_COMPONENT"], found["LINEWATCH_VERSION"]) == (
        "com.linewatch.model.SurfaceClassifier",
        "1.0.0",
    )
    with zipfile.ZipFile(archive) as packed:
        unpacked = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        assert sorted(packed.namelist()) == sorted(unpacked)


def test_install_of_a_component_without_a_step_of_its_own_only_unpacks(make_zip: ZipMaker, tmp_path: Path) -> None:
    done = launch(make_zip(installs=False), "install", "--work", str(tmp_path / "work"))
    assert done.returncode == 0
    assert "arguments" not in done.stdout
    assert versions(tmp_path / "work") == ["1.0.0"]


def test_the_exit_code_of_the_component_is_the_steps(make_zip: ZipMaker, tmp_path: Path) -> None:
    done = launch(make_zip(), "install", "--work", str(tmp_path / "work"), LINEWATCH_TEST_EXIT="7")
    assert done.returncode == 7


def test_run_becomes_the_component_in_the_same_process(make_zip: ZipMaker, tmp_path: Path) -> None:
    """The runtime's token and SIGTERM belong to the process that it started."""
    with running(make_zip(), tmp_path / "work", tmp_path) as process:
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        assert command[-4:-1] == [b"-m", b"linewatch_model", b"run"]


def test_nothing_of_the_hosts_python_leaks_in(make_zip: ZipMaker, tmp_path: Path) -> None:
    found = said(
        launch(
            make_zip(), "run", "--work", str(tmp_path / "work"), PYTHONWARNINGS="ignore", PYTHONSTARTUP="/etc/passwd"
        )
    )
    assert found["flags"] == [1, True]
    assert {name for name in found if name.startswith("PYTHON")} == {
        "PYTHONPATH",
        "PYTHONPYCACHEPREFIX",
        "PYTHONFAULTHANDLER",
    }
    assert found["PYTHONPATH"].endswith("/lib")


def test_run_takes_what_the_runtime_has_unpacked(make_zip: ZipMaker, tmp_path: Path) -> None:
    """Both runtimes unpack a.zip into decompressedPath/a."""
    archive = make_zip()
    decompressed = tmp_path / "decompressed"
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(decompressed / archive.stem)
    found = said(launch(archive, "run", "--work", str(tmp_path / "work"), "--decompressed", str(decompressed)))
    assert found["file"].startswith(str(decompressed / archive.stem))
    assert not (tmp_path / "work" / "bundles").exists()


@pytest.mark.parametrize("damage", ["a file is missing", "another version", "cut off"])
def test_run_refuses_what_the_runtime_has_unpacked_badly(make_zip: ZipMaker, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "decompressed" / make_zip().stem
    with zipfile.ZipFile(make_zip("0.9.0" if damage == "another version" else "1.0.0")) as packed:
        packed.extractall(folder)
    if damage == "a file is missing":
        (folder / "lib/third_party.py").unlink()
    elif damage == "cut off":
        (folder / "lib/third_party.py").write_text("x")
    work = tmp_path / "work"
    found = said(launch(make_zip(), "run", "--work", str(work), "--decompressed", str(folder.parent)))
    assert found["file"].startswith(str(work / "bundles"))


def test_run_unpacks_again_what_was_lost_or_damaged_in_the_work_folder(make_zip: ZipMaker, tmp_path: Path) -> None:
    archive, work = make_zip(), tmp_path / "work"
    (folder,) = [Path(said(launch(archive, "install", "--work", str(work)))["LINEWATCH_PACKAGE"]).parent]
    (folder / "lib/third_party.py").write_text("")
    said(launch(archive, "run", "--work", str(work)))
    assert (folder / "lib/third_party.py").read_text() == "x = 1\n"
    shutil.rmtree(work)
    said(launch(archive, "run", "--work", str(work)))


def test_another_content_under_the_same_version_is_another_folder(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for extra in ("one", "two"):
        found = said(launch(make_zip(extra=extra), "install", "--work", str(work)))
        assert (Path(found["LINEWATCH_PACKAGE"]) / "extra").read_text() == extra
    assert versions(work) == ["1.0.0", "1.0.0"]


def test_the_version_before_stays_and_older_ones_go(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        said(launch(make_zip(version), "install", "--work", str(work)))
    assert versions(work) == ["1.1.0", "1.2.0"]
    assert len(list((work / "bundles").glob("*.lock"))) == 2


def test_a_running_version_stays_until_it_stops(make_zip: ZipMaker, tmp_path: Path) -> None:
    """On lite the new version is installed while the old one runs; the process keeps its folder without knowing of it."""
    work = tmp_path / "work"
    with running(make_zip("1.0.0"), work, tmp_path):
        for version in ("1.1.0", "1.2.0", "1.3.0"):
            said(launch(make_zip(version), "install", "--work", str(work)))
        assert versions(work) == ["1.0.0", "1.2.0", "1.3.0"]
    said(launch(make_zip("1.4.0"), "install", "--work", str(work)))
    assert versions(work) == ["1.3.0", "1.4.0"]


def test_a_rollback_goes_back_to_the_folder_that_is_still_there(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = said(launch(make_zip("1.0.0"), "install", "--work", str(work)))
    said(launch(make_zip("1.1.0"), "install", "--work", str(work)))
    done = launch(make_zip("1.0.0"), "run", "--work", str(work))
    assert said(done)["LINEWATCH_PACKAGE"] == first["LINEWATCH_PACKAGE"]
    assert "unpacked" not in done.stdout


def test_many_at_once_unpack_once(make_zip: ZipMaker, tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(make_zip()), "install", "--work", str(tmp_path / "work")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], outputs
    assert sum("unpacked" in output for output in outputs) == 1


def test_an_interrupted_unpacking_is_never_run_and_is_cleared_away(make_zip: ZipMaker, tmp_path: Path) -> None:
    archive, work = make_zip(), tmp_path / "work"
    folder = Path(said(launch(archive, "install", "--work", str(work)))["LINEWATCH_PACKAGE"]).parent
    part = folder.with_name(f".{folder.name}.part")
    folder.rename(part)  # as a kill just before the last step leaves it
    (part / "lib/third_party.py").unlink()
    (work / "bundles/.0.1.0-aaaaaaaaaaaa.part").mkdir()
    (work / "bundles/.0.2.0-aaaaaaaaaaaa.part").mkdir()
    said(launch(archive, "install", "--work", str(work)))
    assert (folder / "lib/third_party.py").exists()
    assert not part.exists()
    assert len(list((work / "bundles").glob(".*"))) <= 1


def test_a_kill_at_any_moment_of_the_unpacking_leaves_nothing_half(make_zip: ZipMaker, tmp_path: Path) -> None:
    archive, work = make_zip(extra="x" * 4_000_000), tmp_path / "work"
    for delay in (0.03, 0.06, 0.09, 0.12, 0.15):
        process = subprocess.Popen([sys.executable, "-I", str(archive), "install", "--work", str(work)])
        time.sleep(delay)
        process.kill()
        process.wait()
        for name in (name for name in versions(work) if not name.startswith(".")):
            (folder,) = (work / "bundles").glob(f"{name}-*[!.lock]")
            assert (folder / "bundle.json").exists()
    said(launch(archive, "run", "--work", str(work)))


def _no_file_over(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_refuses_is_one_clear_line_and_leaves_nothing(make_zip: ZipMaker, tmp_path: Path) -> None:
    archive, work = make_zip(extra="x" * 2_000_000), tmp_path / "work"
    done = subprocess.run(
        [sys.executable, "-I", str(archive), "install", "--work", str(work)],
        preexec_fn=_no_file_over(1_000_000),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    line = one_line(done)
    assert "cannot unpack" in line
    assert "File too large" in line
    assert versions(work) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_says_how_much_is_needed_before_it_fills_it(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
    tried = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("unshare -m is not allowed here")
    command = ["unshare", "-m", "sh", "-c", script, str(work), sys.executable, "-I", str(make_zip()), "install"]
    done = subprocess.run([*command, "--work", str(work)], capture_output=True, text=True, check=False, timeout=60)
    line = one_line(done)
    assert "MB free" in line
    assert "unpacking needs" in line


def test_a_disk_that_became_read_only_does_not_keep_the_component_from_starting(
    make_zip: ZipMaker, tmp_path: Path
) -> None:
    """Kernels do that after an error of the medium; the component then says itself what it cannot write."""
    if subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("unshare -rm is not allowed here")
    archive, work = make_zip(), tmp_path / "work"
    said(launch(archive, "install", "--work", str(work)))
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, str(work), sys.executable, "-I", str(archive), "run"]
    done = subprocess.run([*command, "--work", str(work)], capture_output=True, text=True, check=False, timeout=60)
    assert said(done)["arguments"] == ["run"]


def test_a_damaged_zip_is_one_clear_line(make_zip: ZipMaker, tmp_path: Path) -> None:
    archive = make_zip(extra="x" * 100_000 + "y")
    data = bytearray(archive.read_bytes())
    at = data.index(b"package/extra") + 40
    data[at : at + 8] = b"\xff" * 8
    archive.write_bytes(data)
    assert "cannot unpack" in one_line(launch(archive, "install", "--work", str(tmp_path / "work")))
    assert versions(tmp_path / "work") == []


def test_a_wrong_python_is_one_clear_line(make_zip: ZipMaker, tmp_path: Path) -> None:
    done = launch(make_zip(python="3.99"), "install", "--work", str(tmp_path / "work"))
    assert "was built for Python 3.99, this is 3.11" in one_line(done)
    assert done.returncode == 78


def test_a_wrong_processor_is_one_clear_line(make_zip: ZipMaker, tmp_path: Path) -> None:
    line = one_line(launch(make_zip(architecture=OTHER), "run", "--work", str(tmp_path / "work")))
    assert f"was built for {OTHER}" in line


def test_a_work_folder_that_cannot_be_made_is_one_clear_line(make_zip: ZipMaker, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    assert "cannot make the folder" in one_line(launch(make_zip(), "run", "--work", str(tmp_path / "work")))


def test_no_step_says_what_there_is(make_zip: ZipMaker) -> None:
    assert "say install or run" in one_line(launch(make_zip()))


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_selfcheck_of_either_form_writes_nothing(make_zip: ZipMaker, tmp_path: Path, form: str) -> None:
    source = make_zip()
    if form == "folder":
        with zipfile.ZipFile(source) as packed:
            packed.extractall(tmp_path / "unpacked")
        source = tmp_path / "unpacked"
    (tmp_path / "scratch").mkdir()
    before = sorted(tmp_path.rglob("*"))
    found = said(launch(source, "--selfcheck", TMPDIR=str(tmp_path / "scratch")))
    assert found["arguments"] == ["--selfcheck"]
    assert sorted(tmp_path.rglob("*")) == before


def test_byte_code_is_kept_for_one_version_and_one_boot(make_zip: ZipMaker, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "pycache/0badb007-0.9.0-aaaaaaaaaaaa").mkdir(parents=True)
    found = said(launch(make_zip(), "run", "--work", str(work)))
    (cache,) = (work / "pycache").iterdir()
    assert found["PYTHONPYCACHEPREFIX"] == str(cache)
    assert not list((work / "bundles").rglob("__pycache__"))
