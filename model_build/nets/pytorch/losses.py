"""What a net is punished for: a wrong score, wrong pixels. Pixels that do not count, and masks that nobody drew, are left out."""

import torch
from torch import Tensor
from torch.nn import functional

_DEFECTIVE_PIXEL = 3.0  # weight of a defective pixel: they are under one in a hundred
_PIXELS, _OVERLAP, _SCORE = 2.0, 0.5, 0.3


def loss_of(score: Tensor | None, mask: Tensor | None, defective: Tensor, wanted: Tensor, counts: Tensor) -> Tensor:
    """The batch's loss, a scalar. `score` (N, 1) and `mask` (N, C, h, w) are logits.

    `wanted` (N, C, H, W) says how much of each pixel is defective, `counts` (N, H, W) which pixels count.
    """
    total = defective.new_zeros(())
    if score is not None:
        total = total + (_SCORE if mask is not None else 1.0) * functional.binary_cross_entropy_with_logits(
            score[:, 0], defective
        )
    if mask is not None:
        total = total + _mask_loss(mask.float(), wanted, counts[:, None])
    return total


def _mask_loss(mask: Tensor, wanted: Tensor, counts: Tensor) -> Tensor:
    wanted, counts = (functional.adaptive_avg_pool2d(map_, mask.shape[-2:]) for map_ in (wanted, counts))
    weight = torch.tensor(_DEFECTIVE_PIXEL, device=mask.device)
    pixels = functional.binary_cross_entropy_with_logits(mask, wanted, pos_weight=weight, reduction="none") * counts
    loss = _PIXELS * pixels.sum() / (counts.sum() * mask.shape[1]).clamp(min=1.0)
    drawn = (wanted * counts).sum((1, 2, 3)) > 0
    if not bool(drawn.any()):
        return loss
    likely, truth = (torch.sigmoid(mask) * counts)[drawn], (wanted * counts)[drawn]
    both = (likely * truth).sum((1, 2, 3))
    overlap = (2 * both + 1) / (likely.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)
    return loss + _OVERLAP * (1 - overlap).mean()
