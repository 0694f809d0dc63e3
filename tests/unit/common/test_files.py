"""Atomic files: the old content or the new, never half, also when the disk refuses."""

import subprocess
import sys
from pathlib import Path

import pytest
from linewatch_common.errors import StorageError
from linewatch_common.files import make_private_folder, write_atomically


def test_the_new_content_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, b"old")
    limited = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from linewatch_common.errors import StorageError\n"
        "from linewatch_common.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_atomically(Path(sys.argv[1]), bytes(5000))\n"
        "except StorageError as error:\n    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", limited, str(path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert run.stdout.strip() == f"{path}: cannot write 5000 bytes: File too large"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere/state\.json: cannot write 3 bytes: No such file"):
        write_atomically(tmp_path / "nowhere" / "state.json", b"new")


def test_a_private_folder_is_ours_alone(tmp_path: Path) -> None:
    folder = make_private_folder(tmp_path / "a" / "b")
    assert folder.stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        make_private_folder(tmp_path / "file" / "c")
