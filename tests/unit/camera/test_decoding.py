"""Every kind of picture file, sound, odd and hostile."""

import random
import resource
import struct

import cv2
import numpy as np
import pytest
from linewatch_camera.decoding import decode_picture, to_ring_format
from linewatch_camera.headers import picture_size
from linewatch_common.errors import InputError
from linewatch_common.ring import PictureTooLarge

from tests.unit.camera.pictures import encoded, grey_alpha_png, png_claiming, textured

SLOT = 1_000_000
SUFFIXES = (".png", ".jpg", ".bmp", ".tif")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_are_read_from_the_header(suffix: str, channels: int) -> None:
    assert picture_size(encoded(suffix, textured(37, 53, channels))) == (53, 37)


def test_sizes_of_odd_headers_are_read() -> None:
    flipped = bytearray(encoded(".bmp", textured(37, 53)))
    struct.pack_into("<i", flipped, 22, -37)
    assert picture_size(bytes(flipped)) == (53, 37)
    old_bmp = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 53, 37, 1, 24)
    assert picture_size(old_bmp) == (53, 37)
    progressive = encoded(".jpg", textured(37, 53), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert picture_size(progressive) == (53, 37)
    big_endian = b"MM\0*" + struct.pack(">IHHHIHHHHII", 8, 2, 256, 3, 1, 53, 0, 257, 4, 1, 37)
    assert picture_size(big_endian) == (53, 37)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_pictures_keep_every_pixel(suffix: str, channels: int) -> None:
    picture = textured(20, 31, channels)
    pixels, pixel_format = decode_picture(encoded(suffix, picture), SLOT)
    assert pixel_format == ("Mono8" if channels == 1 else "BGR8")
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, picture)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_its_kind(channels: int) -> None:
    pixels, pixel_format = decode_picture(encoded(".jpg", textured(20, 31, channels)), SLOT)
    assert (pixels.shape[:2], pixel_format) == ((20, 31), "Mono8" if channels == 1 else "BGR8")


def test_alpha_is_dropped() -> None:
    picture = textured(20, 31, 4)
    pixels, pixel_format = decode_picture(encoded(".png", picture), SLOT)
    assert pixel_format == "BGR8"
    np.testing.assert_array_equal(pixels, picture[:, :, :3])


def test_grey_with_alpha_stays_grey() -> None:
    grey = textured(20, 31, 1)
    pixels, pixel_format = decode_picture(grey_alpha_png(grey), SLOT)
    assert pixel_format == "Mono8"
    np.testing.assert_array_equal(pixels, grey)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_become_eight_by_a_shift(suffix: str, channels: int) -> None:
    deep = textured(20, 31, channels).astype(np.uint16) * 256 + 200
    pixels, _ = decode_picture(encoded(suffix, deep), SLOT)
    np.testing.assert_array_equal(pixels, deep >> 8)


def test_one_pixel_is_a_picture() -> None:
    for suffix in SUFFIXES:
        pixels, _ = decode_picture(encoded(suffix, np.full((1, 1), 128, np.uint8)), SLOT)
        assert pixels.shape == (1, 1)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)], ids=["", "progressive"])
def test_a_file_cut_off_anywhere_is_refused_and_never_half_a_picture(suffix: str, options: tuple[int, ...]) -> None:
    data = encoded(suffix, textured(120, 160), *(options if suffix == ".jpg" else ()))
    chance = random.Random(1)
    # A JPEG without only its end mark, or a PNG without only its end chunk, still has every pixel.
    last = {".jpg": 2, ".png": 12}.get(suffix, 0)
    cuts = [0, 1, 3, 8, 20, 30, 60, len(data) // 2, len(data) - last - 10]
    for length in cuts + [chance.randrange(len(data) - last - 10) for _ in range(40)]:
        with pytest.raises(InputError):
            decode_picture(data[:length], SLOT)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_decoded_or_refused_but_nothing_else(suffix: str) -> None:
    data = encoded(suffix, textured(60, 80))
    chance = random.Random(2)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(min(len(data), 400))] = chance.randrange(256)
        try:
            pixels, _ = decode_picture(bytes(damaged), SLOT)
        except InputError:
            continue
        assert pixels.nbytes <= SLOT


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(50), b"not a picture", bytes(1000)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"not a PNG|empty"):
        decode_picture(data, SLOT)


def test_a_tiff_of_floating_point_is_refused() -> None:
    with pytest.raises(InputError, match="float32"):
        to_ring_format(np.zeros((3, 3), np.float32))


def test_a_picture_larger_than_a_slot_is_named_with_its_size_and_the_limit() -> None:
    with pytest.raises(
        PictureTooLarge, match=r"1000x900 needs 2.7 MB, a frame may have 1.0 MB: raise MaxFrameMegabytes"
    ):
        decode_picture(encoded(".png", textured(900, 1000)), SLOT)


def test_a_decompression_bomb_costs_no_memory() -> None:
    bomb = png_claiming(12_000, 9_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureTooLarge, match=r"12000x9000 needs 108.0 MB"):
        decode_picture(bomb, SLOT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
