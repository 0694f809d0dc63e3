"""Where a client's url may lead."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from linewatch_agent.errors import BadRequestError, NotLoadableError

# A model's folder holds a handful of files; bounds the work that a wrong url can cause.
MAX_ENTRIES = 10_000


class ModelRoots:
    """Relative urls start at `base`. With `allowed` (absolute) a url must lead below one of these, links followed; empty allows all."""

    def __init__(self, base: Path, allowed: tuple[Path, ...] = ()) -> None:
        self._base = base
        self._allowed = allowed

    def folder_of(self, url: str) -> Path:
        """The folder that a url means: absolute, no link left in it.

        Raises BadRequestError for what is no path, NotLoadableError when the folder or a link in it leads out of the allowed roots.
        """
        text = unquote(url.removeprefix("file://")) if url.startswith("file:///") else url
        if not text or "\0" in text:
            raise BadRequestError(f"url {url[:200]!r}: want a folder on this machine")
        try:
            folder = Path(self._base, text).resolve()
            if self._allowed:
                self._check(url, folder)
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other
            reason = getattr(error, "strerror", None) or "its links lead in a circle"
            raise NotLoadableError(f"{url[:200]}: cannot be read: {reason}") from error
        return folder

    def _check(self, url: str, folder: Path) -> None:
        roots = [root.resolve() for root in self._allowed]
        if not _below(folder, roots):
            raise NotLoadableError(
                f"{url[:200]}: leads to {str(folder)[:200]}, outside of AllowedRoots ({', '.join(map(str, roots))}); "
                "put the model below one of these, or add its folder to AllowedRoots"
            )
        for count, entry in enumerate(_entries(folder)):
            if count >= MAX_ENTRIES:
                raise NotLoadableError(f"{folder}: holds more than {MAX_ENTRIES} files, this is not a model's folder")
            if entry.is_symlink() and not _below(entry.resolve(), roots):
                raise NotLoadableError(f"{entry}: is a link that leads outside of AllowedRoots; copy the file instead")


def greengrass_roots(work: Path) -> tuple[Path, ...]:
    """Where components keep files, seen from the work folder of one: every work folder, and where artefacts are unpacked."""
    root = work.resolve().parent.parent
    return tuple(root / name for name in ("work", "packages", "artifacts", "artifacts-unarchived"))


def _entries(folder: Path) -> Iterator[Path]:
    """All that can be read by way of `folder`, linked folders' content too; a link comes before what it leads to."""
    places, seen = [folder], set[Path]()
    while places:
        place = places.pop()
        if place in seen:
            continue
        seen.add(place)
        for entry in place.rglob("*"):  # follows no link
            yield entry
            if entry.is_symlink() and entry.is_dir():
                places.append(entry.resolve())


def _below(path: Path, roots: list[Path]) -> bool:
    return any(path.is_relative_to(root) for root in roots)
