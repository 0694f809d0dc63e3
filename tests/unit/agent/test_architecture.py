"""Libraries for other processors."""

import sys
from pathlib import Path

import pytest
from linewatch_agent.architecture import machine_of, refuse_foreign
from linewatch_agent.errors import NotLoadableError
from linewatch_agent.folders import find_model
from linewatch_agent.trust import Trust

from tests.unit.agent.support import model_folder


def library(path: Path, machine: int, order: int = 1) -> Path:
    """As much of a library as says what it is."""
    path.write_bytes(b"\x7fELF\2" + bytes([order]) + bytes(12) + machine.to_bytes(2, "big" if order == 2 else "little"))
    return path


def test_the_running_python_is_at_home() -> None:
    refuse_foreign(Path(sys.executable))


@pytest.mark.parametrize(("machine", "order", "name"), [(183, 1, "aarch64"), (21, 2, "ppc64"), (999, 1, "machine 999")])
def test_says_what_it_found_and_what_it_wants(tmp_path: Path, machine: int, order: int, name: str) -> None:
    made = library(tmp_path / "compiled.so", machine, order)
    assert machine_of(made) == name
    with pytest.raises(NotLoadableError, match=f"compiled for {name}, this machine is x86_64"):
        refuse_foreign(made, "amd64")


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"MZ" + bytes(100)])
def test_what_is_no_library_is_refused(tmp_path: Path, content: bytes) -> None:
    made = tmp_path / "compiled.so"
    made.write_bytes(content)
    with pytest.raises(NotLoadableError, match="not a Linux library"):
        refuse_foreign(made)


def test_a_model_folder_with_a_foreign_library_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    library(folder / "compiled.so", 8)
    with pytest.raises(NotLoadableError, match="compiled for mips"):
        find_model(folder, Trust())
