"""Runs the exported file, as it is shipped, over prepared pictures."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from model_build.samples.plan import INPUT


def outputs(model: Path, pictures: NDArray[np.uint8], name: str) -> NDArray[np.generic]:
    """The model's output for each grey picture (N, H, W), stacked without the batch axis."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    tensors = (np.repeat(picture[None, :, :, None], 3, axis=3) for picture in pictures)
    bar = tqdm(tensors, total=len(pictures), desc=name, unit="picture", mininterval=2)
    return np.concatenate([session.run(None, {INPUT: tensor})[0] for tensor in bar])
