"""Preparing a frame: fixed bytes in, fixed bytes out, and the way back."""

import hashlib

import numpy as np
import pytest
from linewatch_common.errors import InputError
from linewatch_common.manifest import Preparation, Region
from linewatch_vision.preparation import Box, Picture, prepare

SQUASH = Preparation(width=224, height=224, resize="squash")
LETTERBOX = Preparation(width=320, height=240, resize="letterbox", padding=7)


def frame(width: int, height: int, channels: int = 1) -> Picture:
    """A fixed picture without any library's random generator: its bytes must never change."""
    y, x, c = np.mgrid[0:height, 0:width, 0:channels]
    values = np.asarray(((x * 7 + y * 13 + c * 31) ^ (x * y // 5)) % 256, np.uint8)
    return values[:, :, 0] if channels == 1 else values


def digest(tensor: Picture) -> str:
    return hashlib.sha256(tensor.tobytes()).hexdigest()


GOLDEN = {
    "squash Mono8 640x480": "e6cf0a645b645cd4613d24c90f4b4a0ae9da0a8e6d8c8a1c9638ff58043efe04",
    "squash BGR8 640x480": "d4fc8c4061fbd2abc9cdad154ee4fbaaee6217a8b868c625ba65a98eda49e9a5",
    "letterbox Mono8 500x1250": "75d6d9c4ccbd5580f6c9faa8c9cecf84d5cde6960f7fec80933e535339b9d564",
    "letterbox RGB8 31x17": "678086464361e154eecf5675e2abcfec35a121c0a27dc4da95d7dac0961533b9",
    "region BGR8 640x480": "e8093513c3374ce9c95d6ca8173e55ff05e70e1a7d41a8ca87db9ec5ed9c5945",
}


def golden_tensor(name: str) -> Picture:
    mode, pixel_format, size = name.split()
    width, height = (int(side) for side in size.split("x"))
    preparation = {
        "squash": SQUASH,
        "letterbox": LETTERBOX,
        "region": Preparation(
            width=96, height=64, resize="letterbox", region_of_interest=Region(x=40, y=30, width=333, height=100)
        ),
    }[mode]
    return prepare(frame(width, height, 1 if pixel_format == "Mono8" else 3), pixel_format, preparation).tensor


@pytest.mark.parametrize("name", GOLDEN)
def test_the_same_frame_gives_the_same_bytes_on_every_machine(name: str) -> None:
    assert digest(golden_tensor(name)) == GOLDEN[name]


def test_the_tensor_is_what_a_model_takes() -> None:
    tensor = prepare(frame(640, 480, 3), "BGR8", SQUASH).tensor
    assert tensor.shape == (1, 224, 224, 3)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous


def test_grey_becomes_three_equal_channels() -> None:
    tensor = prepare(frame(100, 80), "Mono8", SQUASH).tensor
    assert np.array_equal(tensor[..., 0], tensor[..., 1])
    assert np.array_equal(tensor[..., 0], tensor[..., 2])


def test_bgr_and_rgb_of_one_scene_give_one_tensor() -> None:
    rgb = frame(120, 90, 3)
    from_rgb = prepare(rgb, "RGB8", SQUASH).tensor
    from_bgr = prepare(np.ascontiguousarray(rgb[:, :, ::-1]), "BGR8", SQUASH).tensor
    assert np.array_equal(from_rgb, from_bgr)
    assert not np.array_equal(from_rgb[..., 0], from_rgb[..., 2])


def test_a_frame_of_the_models_size_passes_unchanged_and_is_copied() -> None:
    picture = frame(224, 224, 3)
    tensor = prepare(picture, "RGB8", SQUASH).tensor
    assert np.array_equal(tensor[0], picture)
    assert prepare(picture[:, ::-1], "RGB8", SQUASH).tensor.flags.c_contiguous


def test_a_single_pixel_fills_the_input() -> None:
    assert np.all(prepare(np.full((1, 1), 9, np.uint8), "Mono8", SQUASH).tensor == 9)
    boxed = prepare(np.full((1, 1), 9, np.uint8), "Mono8", LETTERBOX)
    assert boxed.transform.content == Box(40, 0, 240, 240)


def test_a_huge_frame_is_prepared() -> None:
    prepared = prepare(np.full((9000, 12000), 5, np.uint8), "Mono8", SQUASH)
    assert np.all(prepared.tensor == 5)
    assert prepared.transform.to_frame(0, 0, 224, 224) == Box(0, 0, 12000, 9000)


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (1, 5000)])
def test_a_needle_keeps_at_least_one_pixel_when_letterboxed(width: int, height: int) -> None:
    prepared = prepare(np.full((height, width), 200, np.uint8), "Mono8", LETTERBOX)
    assert (prepared.tensor == 200).any()
    assert min(prepared.transform.content.width, prepared.transform.content.height) == 1


def test_letterbox_keeps_the_aspect_centres_and_pads() -> None:
    prepared = prepare(np.full((1000, 500), 200, np.uint8), "Mono8", LETTERBOX)
    assert prepared.transform.content == Box(100, 0, 120, 240)
    assert np.all(prepared.tensor[0, :, 100:220] == 200)
    assert np.all(prepared.tensor[0, :, :100] == 7)
    assert np.all(prepared.tensor[0, :, 220:] == 7)


def test_only_the_region_of_interest_is_seen() -> None:
    picture = np.zeros((480, 640), np.uint8)
    picture[100:200, 300:500] = 77
    region = Region(x=300, y=100, width=200, height=100)
    prepared = prepare(picture, "Mono8", Preparation(width=40, height=20, resize="squash", region_of_interest=region))
    assert np.all(prepared.tensor == 77)
    assert prepared.transform.to_frame(0, 0, 40, 20) == Box(300, 100, 200, 100)
    assert prepared.transform.to_frame(10, 5, 20, 10) == Box(350, 125, 50, 25)


def test_a_region_that_reaches_out_of_the_frame_is_cut() -> None:
    region = Region(x=600, y=400, width=500, height=500)
    prepared = prepare(
        frame(640, 480), "Mono8", Preparation(width=40, height=40, resize="squash", region_of_interest=region)
    )
    assert prepared.transform.region == Box(600, 400, 40, 80)


def test_a_region_outside_the_frame_is_refused() -> None:
    preparation = Preparation(
        width=8, height=8, resize="squash", region_of_interest=Region(x=640, y=0, width=5, height=5)
    )
    with pytest.raises(InputError, match=r"x 640, y 0 lies outside the 640x480 frame"):
        prepare(frame(640, 480), "Mono8", preparation)


def test_boxes_come_back_from_a_letterbox_inside_the_frame() -> None:
    transform = prepare(frame(500, 1250), "Mono8", LETTERBOX).transform
    content = transform.content
    whole = transform.to_frame(content.x, content.y, content.x + content.width, content.y + content.height)
    assert whole == Box(0, 0, 500, 1250)
    corner = transform.to_frame(-50, -50, 1, 1)
    assert (corner.x, corner.y) == (0, 0)
    assert corner.width >= 1
    beyond = transform.to_frame(1000, 1000, 2000, 2000)
    assert (beyond.x + beyond.width, beyond.y + beyond.height) == (500, 1250)


@pytest.mark.parametrize(
    ("picture", "pixel_format", "reason"),
    [
        (np.zeros((4, 4), np.uint16), "Mono8", "needs dtype uint8, got uint16"),
        (np.zeros((4, 4, 4), np.uint8), "BGR8", r"cannot have the shape \(4, 4, 4\)"),
        (np.zeros((4, 4), np.uint8), "RGB8", r"cannot have the shape \(4, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), "Mono8", r"cannot have the shape \(4, 4, 3\)"),
        (np.zeros((0, 4), np.uint8), "Mono8", r"cannot have the shape \(0, 4\)"),
        (np.zeros((4, 4), np.uint8), "Mono12", "pixel format 'Mono12' is unknown"),
    ],
)
def test_what_is_not_a_picture_is_refused(picture: Picture, pixel_format: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        prepare(picture, pixel_format, SQUASH)
