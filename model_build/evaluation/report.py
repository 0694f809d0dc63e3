"""What people read: a one-page HTML report with the worst misses, and a model card."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import msgspec
import numpy as np
from linewatch_common.errors import StorageError
from linewatch_common.files import write_atomically

from model_build.data.drawing import is_drawn
from model_build.data.prepared import PreparedSet
from model_build.data.records import Picture
from model_build.data.report import drawn, write_sheet
from model_build.evaluation.evaluate import Evaluation
from model_build.evaluation.intervals import Interval
from model_build.evaluation.predictions import Predictions

EVALUATION_FILE, PAGE_FILE, CARD_FILE, MISSES_FILE = "evaluation.json", "report.html", "model-card.md", "misses.png"
_SHOWN = 16
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2em .7em;text-align:left}img{max-width:100%}"
)


def write_evaluation(
    folder: Path, evaluation: Evaluation, refusals: Sequence[str], data: PreparedSet, test: Predictions
) -> None:
    """Write JSON, page, card and the picture of the worst misses. Raises InputError, StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MISSES_FILE).unlink(missing_ok=True)  # another model's
    except OSError as error:
        raise StorageError(f"{folder}: cannot write into the folder: {error.strerror}") from error
    picture = ""
    if evaluation.worst:
        write_sheet(folder / MISSES_FILE, [_miss(name, data, test) for name in evaluation.worst[:_SHOWN]])
        picture = base64.b64encode((folder / MISSES_FILE).read_bytes()).decode()
    warning = _drawn_defects(data, test)
    figures = {"schema": "linewatch.Evaluation/1", "refusals": list(refusals)} | msgspec.to_builtins(evaluation)
    write_atomically(
        folder / EVALUATION_FILE, msgspec.json.format(msgspec.json.encode(figures), indent=1) + b"\n", 0o644
    )
    write_atomically(folder / PAGE_FILE, page(evaluation, refusals, picture, warning).encode(), 0o644)
    write_atomically(folder / CARD_FILE, card(evaluation, refusals, warning).encode(), 0o644)


def rows(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The figures as name and text with its interval."""
    seen, point, pixel = evaluation.outcome, evaluation.point, evaluation.pixel
    found = [
        ("image AP", _with(evaluation.image_ap, evaluation.image_ap_interval)),
        ("AUROC", _with(evaluation.auroc, evaluation.auroc_interval)),
        ("thresholds (review, fail), from validation", f"{point.review:.4f}, {point.fail:.4f}"),
        ("target", point.statement),
        ("escapes on test", f"{seen.escapes} of {seen.defective}, {_share(seen.escapes_interval)}"),
        ("false rejects on test", f"{seen.false_rejects} of {seen.good}, {_share(seen.false_rejects_interval)}"),
        ("sent to review on test", f"{seen.reviews} of {seen.defective + seen.good}"),
        ("fewest escapes of any threshold with 1 false reject", str(evaluation.oracle_escapes_at_1_false_reject)),
    ]
    if pixel is not None:
        bins = f", bins: {pixel.ap.low:.4f} to {pixel.ap.high:.4f}"
        found.append(("pixel AP", _with(pixel.ap.value, pixel.ap_interval) + bins))
        found.append((f"IoU at {pixel.cut:.3f}", f"{pixel.iou:.4f}"))
        found += [
            (
                f"defects found, {size.low} to {size.high - 1} pixels",
                f"{size.found} of {size.defects}, {_share(size.interval)}",
            )
            for size in pixel.recall
        ]
    return found


def page(evaluation: Evaluation, refusals: Sequence[str], picture: str, warning: str = "") -> str:
    """One HTML page that needs nothing else; `picture` is a PNG in base64, or empty."""
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows(evaluation))
    verdict = "".join(f"<li>{escape(line)}</li>" for line in refusals)
    misses = f'<h2>Worst misses</h2><img alt="worst misses" src="data:image/png;base64,{picture}">' if picture else ""
    told = f"<p><b>{escape(warning)}</b></p>" if warning else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{_STYLE}</style>'
        f"<h1>Evaluation of {escape(evaluation.model[:12])}</h1>{told}"
        f"<p>{'The gate refuses this model:' if refusals else 'The gate lets this model pass.'}</p><ul>{verdict}</ul>"
        f"<table>{table}</table><p>Intervals are 95 %: exact binomial for shares, parts redrawn for the rest.</p>{misses}</html>\n"
    )


def card(evaluation: Evaluation, refusals: Sequence[str], warning: str = "") -> str:
    """The model card in Markdown."""
    lines = [f"| {name} | {text} |" for name, text in rows(evaluation)]
    gate = [f"- refused: {line}" for line in refusals] or ["- passed"]
    return "\n".join(
        [
            f"# Model {evaluation.model[:12]}",
            "",
            "For finding surface defects on the parts it was trained on, pictured as in its data. Not for other parts, other light",
            "or another camera without a new evaluation; not where a person's safety depends on the verdict alone.",
            "",
            f"Data {evaluation.data}, split {evaluation.splits}.",
            "",
            *([f"**{warning}**", ""] if warning else []),
            "| Figure | Value, 95 % interval |",
            "|---|---|",
            *lines,
            "",
            "## Gate",
            *gate,
            "",
        ]
    )


def _drawn_defects(data: PreparedSet, test: Predictions) -> str:
    defective = [entry for name in test.document.scores if (entry := data.entry(name)).defective]
    count = sum(is_drawn(entry) for entry in defective)
    if not count:
        return ""
    return f"{count} of {len(defective)} defects of the test split are drawn: these figures say little of real ones."


def _miss(name: str, data: PreparedSet, test: Predictions) -> Picture:
    example, score = data.example(name), test.document.scores[name]
    kind = "escape" if example.entry.defective else "false reject"
    return drawn(example.picture, np.asarray(example.mask.any(axis=0)), f"{name} {kind} {score:.3f}")


def _with(value: float, interval: Interval | None) -> str:
    return f"{value:.4f} ({interval[0]:.4f} to {interval[1]:.4f})" if interval else f"{value:.4f}"


def _share(interval: Interval) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"
