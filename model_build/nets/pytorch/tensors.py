"""Pictures, weights and answers as tensors, and back: the same for every learner in PyTorch."""
# torch is not installed where the types are checked:
# mypy: disable-error-code="misc"

import io
import pickle
from typing import Any

import numpy as np
import torch
from linewatch_common.errors import InputError
from torch import Tensor, nn

from model_build.nets.interface import DEVIATION, MEAN, Pictures, Said


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def planes_of(pictures: Pictures, where: torch.device) -> Tensor:
    """uint8 (N, H, W, 3) RGB as a net takes them: normalised float (N, 3, H, W), channels last."""
    planes = torch.from_numpy(pictures).to(where).permute(0, 3, 1, 2).float()
    return normalised(planes).contiguous(memory_format=torch.channels_last)


def normalised(planes: Tensor) -> Tensor:
    """Float 0..255 (N, 3, H, W) RGB as ImageNet's statistics want it: one multiplication and one addition in the graph."""
    mean, deviation = (torch.tensor(figures, device=planes.device).view(1, 3, 1, 1) for figures in (MEAN, DEVIATION))
    return planes * (1.0 / (255.0 * deviation)) - mean / deviation


def said(score: Tensor | None, mask: Tensor | None) -> Said:
    """A net's logits as probabilities."""
    scores = None if score is None else np.asarray(torch.sigmoid(score.float())[:, 0].cpu(), np.float32)
    masks = None if mask is None else np.asarray(torch.sigmoid(mask.float()).cpu(), np.float32)
    return Said(scores, masks)


def saved(thing: Any) -> bytes:
    """What `loaded` reads."""
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def take(net: nn.Module, weights: bytes, where: torch.device) -> None:
    """Give the net these weights, its saved `state_dict`. Raises InputError."""
    try:
        net.load_state_dict(loaded(weights, where))
    except RuntimeError as error:
        raise InputError(f"the weights are of another net: {error}") from error


def loaded(data: bytes, where: torch.device) -> Any:
    """Tensors and plain values alone. Raises InputError."""
    try:
        return torch.load(io.BytesIO(data), map_location=where, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError, OSError, LookupError) as error:
        raise InputError(
            f"the weights cannot be read: {str(error).partition(chr(10))[0] or type(error).__name__}"
        ) from error
