"""Steps whose results are kept: a step runs again only when something that it depends on has changed."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import InputError, StorageError

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One command. `key`: everything that its result depends on. `{out}` in `command` is the folder to make; `done` is the file there
    that is written last. `resumable`: an interrupted folder is given back to the command with `--resume` instead of being deleted.
    """

    name: str
    key: tuple[str, ...]
    command: tuple[str, ...]
    done: str
    resumable: bool = False


class Cache:
    """Keeps each step's folder under its name and the digest of its key."""

    def __init__(self, folder: Path, root: Path, tell: Tell) -> None:
        self.folder, self._root, self._tell = folder, root, tell

    def place(self, step: Step) -> Path:
        """The step's folder, whether it is there or not."""
        digest = hashlib.sha256("\n".join((step.name, *step.key)).encode()).hexdigest()
        return self.folder / f"{step.name}-{digest[:12]}"

    def made(self, step: Step) -> Path:
        """The step's folder, complete. Raises InputError when the command failed, which says why on stderr."""
        place = self.place(step)
        if (place / step.done).exists():
            return place
        self._tell(f"{step.name} …")
        more = ("--resume",) if step.resumable and place.exists() else ()
        if not more:
            _remove(place)
        self._make_folder()
        command = [part.replace("{out}", str(place)) for part in step.command]
        ended = subprocess.run([*command, *more], cwd=self._root, check=False, stdout=subprocess.PIPE, text=True)
        # A refusal by the gate ends with 1 too, but leaves its report.
        if not (place / step.done).exists():
            self._tell(f"{step.name}: ended with {ended.returncode}: {' '.join(command)}")
            raise InputError(f"{step.name} ended with {ended.returncode}")  # the page quotes it: no paths
        return place

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self.folder}: cannot make the folder: {error.strerror}") from error


def code_of(root: Path, patterns: Sequence[str]) -> str:
    """Digest of the source files that a step depends on: names and contents."""
    files: Iterable[Path] = sorted({file for pattern in patterns for file in root.glob(pattern)})
    lines = [f"{file.relative_to(root)} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def listing_of(folder: Path) -> str:
    """Digest of a raw folder's names and sizes: enough to see that another set, or more of it, lies there."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{file.relative_to(folder)} {file.stat().st_size}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _remove(place: Path) -> None:
    try:
        if place.exists():
            shutil.rmtree(place)
    except OSError as error:
        raise StorageError(f"{place}: cannot remove what an interrupted step left: {error.strerror}") from error
