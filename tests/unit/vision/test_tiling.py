"""Tiles cover the part, keep their overlap, and their masks come together where they belong."""

import numpy as np
import pytest
from linewatch_common.errors import InputError
from linewatch_common.manifest import MaskThresholds, Preparation, Region, Tiles
from linewatch_vision.ignoring import ignored_cells
from linewatch_vision.masks import read_mask
from linewatch_vision.preparation import Box, Transform, prepare
from linewatch_vision.tiling import prepare_all, stitched, tile_boxes
from numpy.typing import NDArray

Mask = NDArray[np.generic]
THRESHOLDS = MaskThresholds(pixel=0.5, minimum_area=1)


@pytest.mark.parametrize(
    ("width", "height", "tiles"),
    [
        (500, 1250, Tiles(width=500, height=640, overlap=64)),
        (1000, 77, Tiles(width=64, height=64, overlap=0)),
        (129, 64, Tiles(width=64, height=64, overlap=63)),
        (65, 10, Tiles(width=64, height=64, overlap=5)),
        (10, 10, Tiles(width=64, height=64, overlap=5)),
    ],
)
def test_tiles_cover_every_pixel_and_neighbours_share_the_overlap(width: int, height: int, tiles: Tiles) -> None:
    boxes = tile_boxes(Box(3, 5, width, height), tiles)
    covered = np.zeros((height + 5, width + 3), np.bool_)
    for box in boxes:
        assert box.x >= 3
        assert box.y >= 5
        covered[box.y : box.y + box.height, box.x : box.x + box.width] = True
    assert covered[5:, 3:].all()
    for starts, side in (
        (sorted({box.x for box in boxes}), boxes[0].width),
        (sorted({box.y for box in boxes}), boxes[0].height),
    ):
        steps = np.diff(starts)
        assert (steps <= side - tiles.overlap).all()
        assert (steps > 0).all()


def test_a_mistake_of_thousands_of_tiles_is_refused() -> None:
    with pytest.raises(InputError, match="at most 256 are allowed"):
        tile_boxes(Box(0, 0, 4000, 4000), Tiles(width=64, height=64, overlap=32))


def picture(width: int = 100, height: int = 40) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (height, width), dtype=np.uint8)


TILED = Preparation(width=32, height=16, resize="squash", tiles=Tiles(width=48, height=24, overlap=8))


def test_a_tile_is_prepared_as_a_region_of_interest_is() -> None:
    """The same bytes as by `prepare`, whose bytes are held by a golden test: training cuts tiles by this code too."""
    frame = picture()
    tiles = prepare_all(frame, "Mono8", TILED)
    assert len(tiles) == 6
    for tile in tiles:
        box = tile.transform.region
        region = Region(x=box.x, y=box.y, width=box.width, height=box.height)
        alone = prepare(frame, "Mono8", Preparation(width=32, height=16, resize="squash", region_of_interest=region))
        assert np.array_equal(tile.tensor, alone.tensor)
        assert tile.transform == alone.transform


def test_without_tiles_it_is_prepare_and_with_tiles_prepare_refuses() -> None:
    plain = Preparation(width=32, height=16, resize="letterbox")
    (only,) = prepare_all(picture(), "Mono8", plain)
    assert np.array_equal(only.tensor, prepare(picture(), "Mono8", plain).tensor)
    with pytest.raises(InputError, match="cuts the frame into tiles"):
        prepare(picture(), "Mono8", TILED)


@pytest.mark.parametrize("resize", ["squash", "letterbox"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_defect_on_a_seam_is_one_defect_at_its_place(resize: str, dtype: type) -> None:
    """Each tile's mask is its own picture, half as fine: the whole mask finds the square that was drawn."""
    frame = np.zeros((64, 160), np.uint8)
    frame[20:40, 60:100] = 255
    tiles = Tiles(width=64, height=64, overlap=16)
    preparation = Preparation(width=64, height=96 if resize == "letterbox" else 64, resize=resize, tiles=tiles)  # type: ignore[arg-type]  # both are valid
    seen = prepare_all(frame, "Mono8", preparation)
    full = 255 if dtype is np.uint8 else 1.0
    masks: list[Mask] = [
        ((tile.tensor[..., 0][:, ::2, ::2] >= 128) * full).astype(dtype)[:, np.newaxis] for tile in seen
    ]
    mask, transform = stitched(masks, [tile.transform for tile in seen])
    assert mask.dtype == dtype
    reading = read_mask(mask, labels=("spot",), thresholds=THRESHOLDS, transform=transform, limit=8)
    (defect,) = reading.defects
    box = defect.box
    assert abs(np.array([box.x, box.y, box.width, box.height]) - [60, 20, 40, 20]).max() <= 2


def test_one_tile_is_handed_on_as_it_is_and_unlike_masks_are_refused() -> None:
    mask = np.zeros((1, 1, 8, 16), np.uint8)
    transform = prepare(picture(), "Mono8", Preparation(width=32, height=16, resize="squash")).transform
    assert stitched([mask], [transform]) == (mask, transform)
    with pytest.raises(InputError, match="masks of the tiles differ"):
        stitched([mask, mask[0]], [transform, transform])


def test_a_cell_that_is_half_ignored_never_counts() -> None:
    ignored = np.zeros((8, 16), np.bool_)
    ignored[0:2, 0:4], ignored[4, 4:8] = True, True  # half of a cell of 4 x 4, and a quarter of one
    whole = Box(0, 0, 16, 8)
    transform = Transform(16, 8, 16, 8, whole, whole)
    cells = ignored_cells(ignored, (2, 4), (0, 4, 0, 2), transform)
    assert np.argwhere(cells).tolist() == [[0, 0]]
    mask = np.full((1, 1, 2, 4), 255, np.uint8)
    read = read_mask(mask, labels=("a",), thresholds=THRESHOLDS, transform=transform, limit=8, ignored=ignored)
    assert sum(defect.area for defect in read.defects) == 7 * 16
