"""Imports everything that the artefact vendors and tries it once; writes nothing."""

import platform

import cv2
import grpc
import numpy as np
from linewatch_common import __version__
from linewatch_common.manifest import MaskThresholds, Preparation
from linewatch_vision.masks import read_mask
from linewatch_vision.preparation import prepare

import linewatch_inspector.composition as composed
from linewatch_inspector.ended import Picture
from linewatch_inspector.pictures import picture_jpeg
from linewatch_inspector.predictor import AgentPredictor


def selfcheck() -> str:
    """One OK line. Raises what is wrong."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    prepared = prepare(pixels, "BGR8", Preparation(width=32, height=32, resize="squash"))
    mask = np.zeros((1, 1, 8, 8), np.uint8)
    mask[0, 0, 2:4, 2:4] = 255
    thresholds = MaskThresholds(pixel=0.5, minimum_area=1)
    reading = read_mask(mask, labels=("defect",), thresholds=thresholds, transform=prepared.transform, limit=1)
    jpeg = picture_jpeg(Picture(pixels=pixels, pixel_format="BGR8"))
    AgentPredictor().close()
    return (
        f"OK linewatch_inspector {__version__}: {composed.__name__}, python {platform.python_version()}, "
        f"numpy {np.__version__}, opencv {cv2.__version__}, grpc {grpc.__version__}, "
        f"{reading.total} defect found, {len(jpeg)} bytes of JPEG"
    )
