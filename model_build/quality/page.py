"""docs/quality.md and docs/quality.json: what was measured, when, and how sure it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically

from model_build.data.pixels import read_bounded
from model_build.evaluation.intervals import Interval
from model_build.quality.figures import Net
from model_build.quality.latency import Comparison

_NONE = "none"
PAGE, DATA = "quality.md", "quality.json"
Sets = dict[str, dict[str, Any]]
_HEAD = """# Quality

Written by `make quality`: our net (`inspector`) and the reference's pair, trained, compiled and judged by the same chain. Figures in
[quality.json](quality.json). Thresholds come from out-of-fold predictions of the training split alone; intervals are at 95 %
([evaluation.md](evaluation.md)). How long and how fast to learn was settled while looking at KolektorSDD's test split too: a
regression gate, no proof for other parts.
"""


def write(folder: Path, name: str, found: dict[str, Any]) -> None:
    """Put one data set's figures into both files, beside those of other sets. Raises InputError, StorageError."""
    others, entry = _known(folder / DATA), msgspec.to_builtins(found)
    before = others.get(name, {})
    if before.get("data") == entry["data"]:
        for apart in ("few_defects", "reference_pair"):  # measured apart, and still of this set
            entry[apart] = entry[apart] or before.get(apart, {})
    sets = others | {name: entry}
    data = msgspec.json.format(msgspec.json.encode(sets, order="sorted"), indent=1)
    write_atomically(folder / DATA, data + b"\n", mode=0o644)
    write_atomically(folder / PAGE, page(sets).encode(), mode=0o644)


def known(folder: Path, name: str) -> dict[str, Any]:
    """What is written of a data set. Raises InputError where nothing is."""
    entry = _known(folder / DATA).get(name)
    if entry is None:
        raise InputError(f"{folder / DATA}: says nothing of {name} yet")
    return entry


def page(sets: Sets) -> str:
    """The whole page from quality.json's content."""
    return "\n".join([_HEAD, *(_section(name, found) for name, found in sorted(sets.items()))])


def _known(path: Path) -> Sets:
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(read_bounded(path), type=Sets)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error


def _section(name: str, found: dict[str, Any]) -> str:
    ours = msgspec.convert(found["ours"], Net)
    pair = {key: msgspec.convert(net, Net) for key, net in found["reference_pair"].items() if isinstance(net, dict)}
    latency = msgspec.convert(found["latency"], Comparison) if found.get("latency") else None
    lines = [f"## {name}", "", f"{_set_line(found['data'])} Written {found['written_at']}.", ""]
    lines += [_row("Figure", ["ours", *pair]), _row("---", ["---"] * (1 + len(pair)))]
    lines += [_row(label, [show(net) for net in (ours, *pair.values())]) for label, show in _ROWS]
    lines += ["", *(_speed(latency) if latency else [])]
    lines += [f"- seed {seed}: {text}" for seed, text in zip(ours.seeds, ours.targets, strict=True)]
    refused = [
        f"- the gate refuses {label}, seed {seed}: {'; '.join(why)}"
        for label, net in {"ours": ours, **pair}.items()
        for seed, why in zip(net.seeds, net.refusals, strict=True)
        if why
    ]
    few = _few_lines({number: msgspec.convert(net, Net) for number, net in found.get("few_defects", {}).items()})
    notes = [f"- {note}" for note in found.get("notes", ())]
    return "\n".join([*lines, *refused, *notes, *few, ""])


def _few_lines(nets: dict[str, Net]) -> list[str]:
    """From a few defective pictures, thresholds from all of the training split."""
    if not nets:
        return []
    labels = ("image AP, mean", "fewest escapes with 1 false reject", "pixel AP, mean")
    rows = [
        (number, [net.model or "inspector", *(show(net) for label, show in _ROWS if label in labels)])
        for number, net in sorted(nets.items(), key=lambda one: int(one[0]))
    ]
    head = ["", "| Defective pictures to learn from | net | image AP | fewest escapes with 1 false reject | pixel AP |"]
    return [*head, "|---|---|---|---|---|", *(_row(number, cells) for number, cells in rows)]


def _set_line(data: dict[str, Any]) -> str:
    return (
        f"{data['train']} training pictures ({data['train_defective']} defective), {data['test']} test pictures "
        f"({data['test_defective']} defective), {data['folds']} folds, {data['method']} split, input {data['input']}."
    )


def _speed(latency: Comparison) -> list[str]:
    times = ", ".join(f"{name} {time.p50:.1f} (at best {time.min:.1f})" for name, time in latency.models.items())
    low, high = latency.ratio_interval
    stand = f"; {', '.join(latency.stand_ins)} by nets of the same shape" if latency.stand_ins else ""
    where = latency.machine or f"{latency.cores} cores"
    return [
        f"INT8 by OpenVINO, {latency.threads} threads, {latency.rounds} interleaved rounds on {where}, {latency.at}: "
        f"median ms {times}{stand}. Ours over the pair: **{latency.ratio:.2f}** ({low:.2f} to {high:.2f}).",
        "",
    ]


def _row(label: str, cells: Sequence[str]) -> str:
    return f"| {label} | {' | '.join(cells)} |"


def _list(values: Sequence[float | int | str]) -> str:
    return ", ".join(f"{value:.4f}" if isinstance(value, float) else str(value) for value in values) or _NONE


def _mean(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.4f}" + (f" ({interval[0]:.4f} to {interval[1]:.4f})" if interval else "")


def _shares(found: Sequence[int], total: int, intervals: Sequence[Interval]) -> str:
    return ", ".join(
        f"{count} of {total} ({low:.1%} to {high:.1%})" for count, (low, high) in zip(found, intervals, strict=True)
    )


def _minutes(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _lost(mean: float | None, worst: float | None) -> str:
    return _NONE if mean is None or worst is None else f"{mean:.4f} ({worst:.4f})"


_ROWS: tuple[tuple[str, Callable[[Net], str]], ...] = (
    ("seeds", lambda net: _list(net.seeds)),
    ("image AP, mean", lambda net: _mean(net.image_ap_mean, net.image_ap_interval)),
    ("image AP, each seed", lambda net: _list(net.image_ap)),
    ("AUROC", lambda net: _list(net.auroc)),
    ("fewest escapes with 1 false reject", lambda net: _list(net.oracle_escapes_at_1_false_reject)),
    ("escapes at the chosen threshold", lambda net: _shares(net.escapes, net.defective, net.escapes_intervals)),
    ("false rejects there", lambda net: _shares(net.false_rejects, net.good, net.false_rejects_intervals)),
    ("sent to review", lambda net: _list(net.reviews)),
    ("pixel AP, mean", lambda net: _mean(net.pixel_ap_mean, net.pixel_ap_interval)),
    ("pixel AP, each seed", lambda net: _list(net.pixel_ap)),
    ("IoU at the chosen pixel threshold", lambda net: _list(net.iou)),
    ("INT8: image AP", lambda net: _list(net.int8_image_ap)),
    ("INT8: image AP lost, mean (worst seed)", lambda net: _lost(net.int8_image_ap_loss, net.int8_image_ap_loss_worst)),
    ("INT8: pixel AP", lambda net: _list(net.int8_pixel_ap)),
    ("INT8: pixel AP lost, mean (worst seed)", lambda net: _lost(net.int8_pixel_ap_loss, net.int8_pixel_ap_loss_worst)),
    ("trained on", lambda net: _list([at[:10] for at in net.trained_at])),
    ("minutes of training, folds and final", lambda net: _minutes(net.minutes)),
    ("of processor time", lambda net: _minutes(net.cpu_minutes)),
)
