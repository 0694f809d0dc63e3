"""What the generator of the demo's parts knows about them."""

import csv

from tools.line.line import ROOT


def demo_truth() -> dict[str, bool]:
    """Part id to defective, from demo/parts.csv."""
    with (ROOT / "demo/parts.csv").open(encoding="utf-8", newline="") as file:
        return {row["part_id"]: row["label"] == "anomalous" for row in csv.DictReader(file)}
