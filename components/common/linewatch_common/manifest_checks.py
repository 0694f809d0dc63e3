"""What a manifest's types alone do not catch: its fields against one another, each problem as 'field: reason'."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linewatch_common.manifest import InputTensor, Manifest, Meaning, OutputTensor, Role

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tflite": ".tflite", "neo": ".so"}
_MEANINGS: "dict[Role, tuple[Meaning, ...]]" = {
    "classifier": ("scores",),
    "segmenter": ("mask",),
    "inspector": ("scores", "mask"),
}


def contradictions(manifest: "Manifest") -> list[str]:
    """Every contradiction in it, but for its paths; empty when it is sound."""
    return [
        *_format_problems(manifest),
        *_tensor_problems(manifest),
        *_role_problems(manifest),
        *_threshold_problems(manifest),
        *_tile_problems(manifest),
    ]


def _format_problems(manifest: "Manifest") -> list[str]:
    wanted = _SUFFIXES[manifest.format]
    if PurePosixPath(manifest.model).suffix == wanted:
        return []
    return [f"model: {manifest.model!r} does not fit the format {manifest.format!r}, which is a {wanted} file"]


def _tensor_problems(manifest: "Manifest") -> list[str]:
    problems = [
        f"{kind}[{index}].shape: {list(tensor.shape)} does not fit the layout {tensor.layout}"
        for kind, tensors in _tensors(manifest)
        for index, tensor in enumerate(tensors)
        if len(tensor.shape) != len(tensor.layout)
    ]
    if len(manifest.inputs) != 1:
        return [*problems, f"inputs: expected one, got {len(manifest.inputs)}"]
    picture, preparation = manifest.inputs[0], manifest.preparation
    expected = (1, preparation.height, preparation.width, 3)
    if (picture.shape, picture.dtype, picture.layout) != (expected, preparation.dtype, preparation.layout):
        problems.append(
            f"inputs[0]: expected {preparation.dtype} {preparation.layout} {list(expected)} by preparation, "
            f"got {picture.dtype} {picture.layout} {list(picture.shape)}"
        )
    return problems


def _tensors(manifest: "Manifest") -> "tuple[tuple[str, tuple[InputTensor | OutputTensor, ...]], ...]":
    return ("inputs", manifest.inputs), ("outputs", manifest.outputs)


def _role_problems(manifest: "Manifest") -> list[str]:
    problems = []
    for needed in _MEANINGS[manifest.role]:
        tensors = [tensor for tensor in manifest.outputs if tensor.meaning == needed]
        if len(tensors) != 1:
            problems.append(
                f"outputs: a{_n(manifest.role)} {manifest.role} needs one output with the meaning {needed!r}, got {len(tensors)}"
            )
        else:
            problems += _output_problems(manifest, needed, tensors[0].shape)
    return problems


def _output_problems(manifest: "Manifest", meaning: "Meaning", shape: tuple[int, ...]) -> list[str]:
    if meaning == "scores" and shape != (1, 1):
        return [f"outputs: scores must have the shape [1, 1], got {list(shape)}"]
    if manifest.role == "classifier" and len(manifest.labels) != 2:
        return [f"labels: a classifier has two (good, bad), got {len(manifest.labels)}"]
    if meaning == "mask" and (len(shape) != 4 or shape[:2] != (1, len(manifest.labels))):
        return [f"outputs: a mask needs the shape [1, {len(manifest.labels)}, H, W] by labels, got {list(shape)}"]
    return []


def _threshold_problems(manifest: "Manifest") -> list[str]:
    score, mask = manifest.thresholds.score, manifest.thresholds.mask
    needed = _MEANINGS[manifest.role]
    if "scores" in needed and score is None:
        return [f"thresholds.score: a{_n(manifest.role)} {manifest.role} needs it"]
    if "mask" in needed and mask is None:
        return [f"thresholds.mask: a{_n(manifest.role)} {manifest.role} needs it"]
    if score is not None and score.review > score.fail:
        return [f"thresholds.score.review: {score.review} is above thresholds.score.fail {score.fail}"]
    return []


def _tile_problems(manifest: "Manifest") -> list[str]:
    tiles = manifest.preparation.tiles
    if tiles is None or tiles.overlap < min(tiles.width, tiles.height):
        return []
    return [f"preparation.tiles.overlap: {tiles.overlap} leaves nothing of a tile of {tiles.width}x{tiles.height}"]


def _n(word: str) -> str:
    return "n" if word[0] in "aeiou" else ""
