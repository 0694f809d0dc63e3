"""How good a net is on pictures that it did not learn from, while it learns."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import cv2
import numpy as np
from linewatch_vision.preparation import Transform
from numpy.typing import NDArray

from model_build.evaluation.scores import average_precision, histogram_average_precision
from model_build.nets.interface import Learner, Said
from model_build.training.pictures import Look, Pictures

_AT_ONCE = 8  # units predicted together: bounds the memory
_LEVELS = 4096


def said_of(learner: Learner, pictures: Pictures, names: Iterable[str]) -> Iterator[tuple[str, Look, Said]]:
    """What the net says of each picture; `Said` of one picture each."""
    cut = [(name, pictures.units(name)) for name in names]
    answers = _answers(learner, pictures, [unit for _, units in cut for unit in units])
    for name, units in cut:
        yield name, *pictures.joined(name, list(islice(answers, len(units))))


def score_of(said: Said) -> float:
    """The picture's score; of a net without one, its most defective pixel."""
    if said.scores is not None:
        return float(said.scores[0])
    return 0.0 if said.masks is None else float(said.masks.max())


def cut_to_picture(mask: NDArray[np.float32], transform: Transform) -> NDArray[np.float32]:
    """A mask (C, h, w) of the whole input, without its padding: as it is, or at the input's resolution where it was padded."""
    content = transform.content
    if (content.width, content.height) == (transform.input_width, transform.input_height):
        return mask
    size = transform.input_width, transform.input_height
    full = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in mask])
    return full[:, content.y : content.y + content.height, content.x : content.x + content.width]


def judged(learner: Learner, pictures: Pictures, names: Sequence[str]) -> dict[str, float]:
    """`image_ap`, and `pixel_ap` at the input's resolution, of those that the pictures and the net allow."""
    labels, scores = [], []
    counts = np.zeros((2, _LEVELS), np.int64)
    for _, look, said in said_of(learner, pictures, names):
        labels.append(look.defective)
        scores.append(score_of(said))
        if said.masks is not None:
            counts += _pixels(look, said.masks[0])
    figures = {}
    if any(labels) and not all(labels):
        figures["image_ap"] = average_precision(np.array(labels), np.array(scores))
    if counts[1].any():
        figures["pixel_ap"] = histogram_average_precision(counts[1], counts[0])
    return {name: round(value, 6) for name, value in figures.items()}


def merit(figures: dict[str, float]) -> float:
    """One number to compare epochs by: the mean of the figures."""
    return sum(figures.values()) / len(figures) if figures else 0.0


def _answers(learner: Learner, pictures: Pictures, units: Sequence[str]) -> Iterator[tuple[Look, Said]]:
    for first in range(0, len(units), _AT_ONCE):
        looks = [pictures.look(unit) for unit in units[first : first + _AT_ONCE]]
        said = learner.say(np.stack([look.picture for look in looks]))
        for place, look in enumerate(looks):
            one = slice(place, place + 1)
            scores, masks = (None if all_ is None else all_[one] for all_ in (said.scores, said.masks))
            yield look, Said(scores, masks)


def _pixels(look: Look, mask: NDArray[np.float32]) -> NDArray[np.int64]:
    """Counts by level of good and of defective pixels that count."""
    height, width = look.counts.shape
    likely = cv2.resize(mask.max(axis=0), (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.minimum((likely * _LEVELS).astype(np.int64), _LEVELS - 1)
    matter, defective = look.counts >= 128, look.mask.max(axis=0) >= 128
    return np.stack([np.bincount(levels[matter & kind], minlength=_LEVELS) for kind in (~defective, defective)])
