"""`evaluate` of the command line."""

import argparse
from pathlib import Path

from linewatch_common.errors import InputError

from model_build.argument_types import fraction
from model_build.data.commands import Commands, progress
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TEST, TRAIN, read_splits
from model_build.evaluation.evaluate import evaluate
from model_build.evaluation.gate import Demands, refusals
from model_build.evaluation.opening import open_test_split
from model_build.evaluation.operating_point import Target
from model_build.evaluation.predictions import open_predictions
from model_build.evaluation.report import PAGE_FILE, write_evaluation

_EVALUATE = """Judge a model by its predictions, whatever framework made them.

Two folders of predictions are needed (docs/evaluation.md describes them): --validation holds a score for every training picture,
each predicted by a model that did not see its fold; --test holds the test split. Thresholds come from --validation alone.
The test split is opened once per model: that is logged beside the data, and other predictions of the same model are refused.

Ends with 1 when the gate refuses the model.

  python -m model_build evaluate build/data/kolektorsdd build/evaluation --validation build/oof --test build/test
"""


def add_commands(commands: Commands) -> None:
    """Add it to the parser."""
    parser = commands.add_parser(
        "evaluate",
        help="figures, thresholds, gate and report of a model",
        description=_EVALUATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="a prepared folder with splits.json")
    parser.add_argument("out", type=Path, help="folder for evaluation.json, report.html, model-card.md, misses.png")
    parser.add_argument(
        "--validation", type=Path, required=True, help="out-of-fold predictions of the training pictures"
    )
    parser.add_argument("--test", type=Path, required=True, help="predictions of the test split")
    parser.add_argument("--target-escapes", type=fraction, default=0.02, help="of the defective (default 0.02)")
    parser.add_argument("--target-false-rejects", type=fraction, default=0.02, help="of the good (default 0.02)")
    parser.add_argument("--minimum-ap", type=fraction, default=0.9, help="image AP that the gate asks (default 0.9)")
    parser.set_defaults(command=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    data = PreparedSet.open(options.data)
    splits = read_splits(options.data / SPLITS_FILE, data)
    validation = open_predictions(options.validation, data.digest, splits.splits[TRAIN], "the training split")
    test = open_predictions(options.test, data.digest, splits.splits[TEST], "the test split")
    models = open_test_split(options.data, test.document.model, splits.checksum, test.digest)
    target = Target(options.target_escapes, options.target_false_rejects)
    found = evaluate(data, splits, validation, test, target=target, steps=lambda names: progress(names, "pixels"))
    lines = refusals(found, Demands(image_ap=options.minimum_ap))
    write_evaluation(options.out, found, lines, data, test)
    print(f"{options.out / PAGE_FILE}: image AP {found.image_ap:.4f}; {found.point.statement}")
    print(f"the test split was opened by {models} model(s) so far")
    if lines:
        raise InputError("the gate refuses the model: " + "; ".join(lines))
