"""A net's input size from the sizes of the pictures."""

from collections.abc import Sequence
from statistics import median

STEP = 32  # strides of all our nets divide it
SQUASH = 1.1  # pictures within this factor of the input's aspect ratio are squashed, others letterboxed
Size = tuple[int, int]  # width, height


def aspect_size(sizes: Sequence[Size], pixels: int) -> Size:
    """Width and height, multiples of 32, near the pictures' median aspect ratio, at most `pixels` pixels, no side enlarged."""
    wide, high = (max(1.0, median(size[axis] for size in sizes)) for axis in (0, 1))
    limits = [_rounded_up(side) for side in (wide, high)]
    zoom = min(1.0, (pixels / (wide * high)) ** 0.5)
    candidates = [
        (width, height)
        for width in _near(wide * zoom, limits[0])
        for height in _near(high * zoom, limits[1])
        if width * height <= max(pixels, STEP * STEP)
    ]
    return max(candidates or [(STEP, STEP)], key=lambda size: _worth(size, wide / high))


def fits_squashed(sizes: Sequence[Size], target: Size) -> bool:
    """Whether every picture's aspect ratio is so near the input's that squashing does no harm."""
    aspect = target[0] / target[1]
    return all(1 / SQUASH <= width / height / aspect <= SQUASH for width, height in sizes)


def _worth(size: Size, aspect: float) -> float:
    """Pixels, less those lost when the aspect ratio is off."""
    off = size[0] / size[1] / aspect
    return size[0] * size[1] * min(off, 1 / off) ** 2


def _near(side: float, limit: int) -> list[int]:
    middle = round(side / STEP) * STEP
    return [value for value in range(middle - 2 * STEP, middle + 3 * STEP, STEP) if STEP <= value <= limit]


def _rounded_up(side: float) -> int:
    return max(STEP, -(-int(side) // STEP) * STEP)
