"""Masks that lie in files of their own: which picture each belongs to, and its pixels."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from linewatch_common.errors import InputError

from model_build.data.pixels import decode_mask, decode_picture, read_bounded
from model_build.data.readers.listing import pictures_below
from model_build.data.records import DEFECT, Mask, Masks

_JPEG = b"\xff\xd8"
# What tools put before or behind the picture's name, that with its suffix too.
_AROUND = re.compile(r"^(?:mask_|gt_|label_)|(?:\.(?:png|jpe?g|bmp|tiff?))?(?:_mask|_gt|_label|_seg)?$", re.IGNORECASE)


class MaskFolder:
    """The masks of a folder that may be missing, and which of them were asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._plain: dict[str, Path] = {}
        self._around: dict[str, list[Path]] = defaultdict(list)
        self._parts: dict[str, list[Path]] = defaultdict(list)
        self._taken: set[Path] = set()
        for path in pictures_below(folder) if folder.is_dir() else []:
            self._add(path, path.relative_to(folder).with_suffix(""))

    def of(self, name: str) -> tuple[Path, ...]:
        """The masks of the picture `name` (relative, without suffix): one, or all in a folder of its name.

        Raises InputError where two claim to be the one.
        """
        around = self._around.get(name, [])
        if name not in self._plain and len(around) > 1:
            raise InputError(
                f"{self.folder}: duplicate name: {around[0].name} and {around[1].name} are masks of one picture"
            )
        found = [self._plain[name]] if name in self._plain else around or self._parts.get(name, [])
        self._taken.update(found)
        return tuple(found)

    def unused(self) -> list[Path]:
        """The masks that belong to no picture that was asked for."""
        return sorted(set(self._plain.values()) - self._taken)

    def _add(self, path: Path, name: Path) -> None:
        key = name.as_posix()
        if key in self._plain:
            raise InputError(
                f"{self.folder}: duplicate name: {self._plain[key].name} and {path.name} are masks of one picture"
            )
        self._plain[key] = path
        bare = name.with_name(_AROUND.sub("", name.name) or name.name).as_posix()
        if bare != key:
            self._around[bare].append(path)
        if name.parent != Path():
            self._parts[name.parent.as_posix()].append(path)


def mask_from(paths: Path | Sequence[Path], name: str = DEFECT) -> Callable[[int, int], Masks]:
    """A reader of one class's mask for Record.masks, from one file or from the areas of several."""
    files = [paths] if isinstance(paths, Path) else list(paths)

    def read(_height: int, _width: int) -> Masks:
        planes = [_decoded(file) for file in files]
        if len({plane.shape for plane in planes}) > 1:
            raise InputError(f"{files[0].parent}: its masks have different sizes")
        return {name: np.logical_or.reduce(planes)}

    return read


def _decoded(path: Path) -> Mask:
    """Every pixel that is not black; of a JPEG, whose black is blurred, those above half of the brightest."""
    data = read_bounded(path)
    if not data.startswith(_JPEG):
        return decode_mask(data, str(path))
    grey = decode_picture(data, str(path))
    grey = grey.max(axis=2) if grey.ndim == 3 else grey
    return np.asarray(grey > int(grey.max()) // 2)
