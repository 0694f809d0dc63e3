"""Captured data that came back from the fleet, see model_build.captures.lines."""

from collections.abc import Iterator
from pathlib import Path

from linewatch_common.captured import CapturedLabel

from model_build.captures.lines import Captured, has_captures, read_captures
from model_build.data.pixels import read_bounded
from model_build.data.records import Options, Record, safe_id


class Fleet:
    """See Reader. Only what a person labelled is taken: a model's own verdicts would teach it its own mistakes."""

    name = "fleet"
    layout = "captured data fetched from S3 (`captures fetch`): parts that a person labelled, the last label decides"

    def fits(self, folder: Path) -> bool:
        """See Reader."""
        return has_captures(folder)

    def records(self, folder: Path, options: Options) -> Iterator[Record]:
        """See Reader."""
        found = read_captures(folder)
        for key in sorted(found.labels.keys() & found.inspections.keys()):
            yield _record(found.inspections[key], found.labels[key], options)


def _record(captured: Captured, label: CapturedLabel, options: Options) -> Record:
    verdict = captured.record.inspection
    return Record(
        id=safe_id(f"{captured.device}-{verdict.frame_id}"),
        source=str(captured.picture),
        part=options.part_of(verdict.frame_id, f"{captured.device}/{verdict.part_id or verdict.frame_id}"),
        defective=label.verdict_label == "fail",
        picture=lambda: read_bounded(captured.picture),
    )
