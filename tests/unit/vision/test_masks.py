"""From a mask to defects in the frame."""

import cv2
import numpy as np
import pytest
from linewatch_common.errors import InputError
from linewatch_common.manifest import MaskThresholds, Preparation, Region
from linewatch_vision.masks import Mask, Reading, mask_png, read_mask
from linewatch_vision.preparation import Box, Transform, prepare

LABELS = ("scratch", "spot")
THRESHOLDS = MaskThresholds(pixel=0.5, minimum_area=3)


def transform(width: int = 64, height: int = 48, preparation: Preparation | None = None) -> Transform:
    squash = Preparation(width=32, height=24, resize="squash")
    return prepare(np.zeros((height, width), np.uint8), "Mono8", preparation or squash).transform


def read(
    mask: Mask, *, limit: int = 32, thresholds: MaskThresholds = THRESHOLDS, at: Transform | None = None
) -> Reading:
    return read_mask(mask, labels=LABELS, thresholds=thresholds, transform=at or transform(), limit=limit)


def blank() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((1, 2, 24, 32), np.uint8)


def test_an_empty_mask_has_no_defects() -> None:
    assert read(blank()) == Reading((), 0)


def test_a_defect_is_measured_in_pixels_of_the_frame() -> None:
    mask = blank()
    mask[0, 1, 4:7, 10:15] = 200
    mask[0, 1, 5, 12] = 255
    (defect,) = read(mask).defects
    assert (defect.label, defect.box, defect.area) == ("spot", Box(20, 8, 10, 6), 60)
    assert defect.score == pytest.approx(1.0)


def test_the_score_may_be_the_mean() -> None:
    mask = blank()
    mask[0, 0, 0, 0:4] = (255, 204, 153, 204)
    (defect,) = read(mask, thresholds=MaskThresholds(pixel=0.5, minimum_area=3, score="mean")).defects
    assert defect.score == pytest.approx(0.8)


def test_float_masks_are_probabilities() -> None:
    mask = np.zeros((1, 2, 24, 32), np.float32)
    mask[0, 0, 2:4, 2:4] = 0.75
    mask[0, 0, 9:14, 9:14] = 0.49
    (defect,) = read(mask).defects
    assert (defect.label, defect.box, defect.score) == ("scratch", Box(4, 4, 4, 4), 0.75)


def test_the_threshold_itself_counts_and_one_below_does_not() -> None:
    mask = blank()
    mask[0, 0, 0:2, 0:2] = 128
    mask[0, 0, 10:12, 10:12] = 127
    assert read(mask).total == 1


def test_small_groups_are_left_out() -> None:
    mask = blank()
    mask[0, 0, 0, 0:2] = 255
    mask[0, 0, 9, 0:3] = 255
    assert [defect.box.y for defect in read(mask).defects] == [18]


def test_one_flaw_seen_by_two_channels_is_one_defect_of_the_stronger_kind() -> None:
    mask = blank()
    mask[0, 0, 4:8, 4:12] = 140
    mask[0, 1, 4:8, 8:16] = 220
    (defect,) = read(mask).defects
    assert (defect.label, defect.box) == ("spot", Box(8, 8, 24, 8))


def test_diagonal_cells_are_connected() -> None:
    mask = blank()
    for step in range(6):
        mask[0, 0, step, step] = 255
    assert [defect.area for defect in read(mask).defects] == [24]


def test_the_largest_come_first_and_all_are_counted() -> None:
    mask = blank()
    for index, size in enumerate((2, 4, 3)):
        mask[0, 0, 0:size, index * 8 : index * 8 + size] = 255
    reading = read(mask, limit=2)
    assert [defect.area for defect in reading.defects] == [64, 36]
    assert reading.total == 3


def test_a_mask_may_be_coarser_than_the_input() -> None:
    mask = np.zeros((1, 2, 6, 8), np.uint8)
    mask[0, 0, 1:3, 2:5] = 255
    (defect,) = read(mask).defects
    assert (defect.box, defect.area) == (Box(16, 8, 24, 16), 384)


def test_padding_holds_no_defects_and_boxes_stay_inside_the_frame() -> None:
    at = transform(10, 48, Preparation(width=32, height=24, resize="letterbox"))
    mask = blank()
    mask[:] = 255
    (defect,) = read(mask, at=at).defects
    assert at.content.width < 32
    assert (defect.box, defect.area) == (Box(0, 0, 10, 48), 480)
    mask[..., at.content.x : at.content.x + at.content.width] = 0
    assert read(mask, at=at).total == 0


def test_a_frame_of_one_pixel_gives_a_defect_of_one_pixel() -> None:
    mask = blank()
    mask[0, 0, 3:9, 3:9] = 255
    (defect,) = read(mask, at=transform(1, 1)).defects
    assert (defect.box, defect.area) == (Box(0, 0, 1, 1), 1)


def test_a_mask_of_pure_noise_is_read_and_capped() -> None:
    mask = np.random.default_rng(1).integers(0, 256, (1, 2, 240, 320), dtype=np.uint8)
    reading = read(mask, thresholds=MaskThresholds(pixel=0.95, minimum_area=1), limit=32)
    assert len(reading.defects) == 32
    assert reading.total > 1000


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((1, 3, 4, 4), np.uint8), r"needs the shape \(1, 2, H, W\), got \(1, 3, 4, 4\)"),
        (np.zeros((2, 4, 4), np.uint8), r"got \(2, 4, 4\)"),
        (np.zeros((1, 2, 0, 4), np.uint8), r"got \(1, 2, 0, 4\)"),
        (np.zeros((1, 2, 4, 4), np.int32), "needs dtype uint8 or float, got int32"),
    ],
)
def test_what_does_not_fit_the_manifest_is_refused(mask: Mask, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(mask)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_models_mask_is_not_a_clean_part(value: float) -> None:
    mask = np.zeros((1, 2, 24, 32), np.float32)
    mask[0, 1, 5, 5] = value
    with pytest.raises(InputError, match="no numbers"):
        read(mask)


def decoded(png: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def test_the_stored_mask_has_the_frames_aspect() -> None:
    mask = blank()
    mask[0, 1, 12:24] = 255
    picture = decoded(mask_png(mask, transform(640, 480), 320))
    assert picture.shape == (240, 320)
    assert picture[30, 160] == 0
    assert picture[200, 160] == 255


def test_the_stored_mask_is_never_larger_than_the_frame() -> None:
    assert decoded(mask_png(blank(), transform(20, 10), 320)).shape == (10, 20)
    assert decoded(mask_png(blank(), transform(1, 1), 320)).shape == (1, 1)
    assert decoded(mask_png(blank(), transform(9000, 1), 320)).shape == (1, 320)


def test_the_stored_mask_is_empty_outside_the_region_of_interest() -> None:
    region = Region(x=320, y=0, width=320, height=480)
    at = transform(640, 480, Preparation(width=32, height=24, resize="squash", region_of_interest=region))
    mask = np.ones((1, 2, 24, 32), np.float32)
    picture = decoded(mask_png(mask, at, 64))
    assert np.all(picture[:, :32] == 0)
    assert np.all(picture[:, 32:] == 255)
