"""The ignore mask of a package: pixels of the frame that never count, as a fixture's edge or a printed number."""

from pathlib import Path

import cv2
import numpy as np
from linewatch_common.errors import InputError, PackageError
from linewatch_common.manifest import Manifest, file_sha256
from numpy.typing import NDArray

from linewatch_vision.preparation import Transform

Ignored = NDArray[np.bool_]


def read_ignored(folder: Path, manifest: Manifest) -> Ignored | None:
    """The ignore mask of the package in `folder`, True where ignored, (H, W) of the frame; None when it has none.

    Raises PackageError when the file is not the manifest's or no picture.
    """
    name = manifest.preparation.ignore
    if name is None:
        return None
    path = folder / name
    if file_sha256(path) != manifest.files[name]:
        raise PackageError(f"{path}: was changed")
    grey = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise PackageError(f"{path}: is no picture")
    return np.asarray(grey) > 0


def ignored_cells(
    ignored: Ignored, shape: tuple[int, ...], content: tuple[int, int, int, int], transform: Transform
) -> Ignored:
    """Which cells of a mask of `shape` never count: those of which at least half is ignored. `content`: its cells, x0, x1, y0, y1.

    Raises InputError when the ignore mask is of another size than the frame.
    """
    if ignored.shape != (transform.frame_height, transform.frame_width):
        raise InputError(
            f"the model's ignore mask is {ignored.shape[1]}x{ignored.shape[0]}, "
            f"the frame {transform.frame_width}x{transform.frame_height}"
        )
    region, (x0, x1, y0, y1) = transform.region, content
    part = ignored[region.y : region.y + region.height, region.x : region.x + region.width].astype(np.uint8) * 255
    cells = np.zeros(shape, np.bool_)
    cells[y0:y1, x0:x1] = cv2.resize(part, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA) >= 128
    return cells
