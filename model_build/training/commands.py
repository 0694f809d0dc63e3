"""`train` and `predict` of the command line."""

import argparse
from pathlib import Path
from typing import Any

import msgspec
from linewatch_common.errors import InputError, StorageError
from linewatch_common.manifest import Tiles
from msgspec.structs import replace
from tqdm import tqdm

from model_build.argument_types import whole
from model_build.compiling.locating import digest_of_model, model_file
from model_build.compiling.running import open_model
from model_build.data.commands import Commands, progress
from model_build.data.drawing import is_drawn
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, Splits, read_splits
from model_build.nets.interface import NETS, net_named
from model_build.nets.learners import learner_for
from model_build.training.plan import Plan
from model_build.training.plans import PLANS
from model_build.training.predict import predict
from model_build.training.run import MODEL_FILE, Epoch, read_run
from model_build.training.session import Order, Report, Session

_NETS = "\n".join(
    f"  {net.name:18} {net.about} ({net.framework}; gives {' and '.join(net.outputs)})" for net in NETS.values()
)
_TRAIN = f"""Train a net on a prepared folder; RUN then holds everything that was learnt and how.

Nets:
{_NETS}

A model is trained beside each fold of DATA/splits.json: what it says of its fold chooses the thresholds (RUN/validation), and when it
was best says how long the final model learns, from all training pictures. The test split is not touched.

Squash, letterbox or tiles? The input has the pictures' own aspect ratio and about --pixels pixels. Where all pictures are within a tenth of
that ratio they are squashed into it, else letterboxed, by itself: one prediction a part, the fastest. It is enough while the smallest
defect stays some 4 pixels wide in the input (`report` shows the defects' areas). Where it does not, first give more --pixels; a net of a
fixed size (compact-classifier, resnet18, unet) has none to give. Then take --tiles W,H,OVERLAP, in pixels of the frame: the net sees
pieces of W x H that share OVERLAP or more, and a part is as bad as its worst piece. OVERLAP: as wide as the defects to be found. Each tile
costs one prediction, and what shows only in the part as a whole is not learnt. Half of each batch are tiles that show a defect. A defective
picture without a mask teaches nothing then, as nobody knows which tile is meant.

Every epoch ends with a checkpoint; after an interruption the same command with --resume goes on where it was. Where ImageNet weights are
not installed the net starts from scratch, and says so. Without defective pictures take --model anomaly, which learns what good parts look
like and minutes suffice; the other nets learn from drawn defects then, and find real ones only where these look alike.

  python -m model_build train build/data/kolektorsdd build/runs/inspector-0 --seed 0
  python -m model_build train build/data/kolektorsdd build/runs/inspector-0 --seed 0 --resume
  python -m model_build train build/data/panels build/runs/panels --tiles 512,512,64
"""
_PREDICT = """Let a trained model speak: predictions in the form that `evaluate` reads (docs/evaluation.md).

RUN/model.onnx, or with --artefact a compiled model, runs as the agent runs it on a device: a folder of `compile`, a model file (.onnx,
.xml of OpenVINO, .tflite, .so of Neo) or a Neo job's .tar.gz. TensorFlow Lite needs .venv-tensorflow or .venv, Neo any environment on
x86_64. Pictures are prepared by the code that the device runs, and cut into tiles and put together by it where the run learnt from tiles.

  python -m model_build predict build/runs/inspector-0 build/data/kolektorsdd build/runs/inspector-0/test --split test
"""


def add_commands(commands: Commands) -> None:
    """Add both to the parser."""
    train = _command(commands, "train", "a net on a prepared folder, with folds, checkpoints and --resume", _TRAIN)
    train.add_argument("data", type=Path, help="a prepared folder with splits.json")
    train.add_argument("run", type=Path, help="folder for the run")
    train.add_argument("--model", choices=list(NETS), default="inspector", help="default: inspector")
    train.add_argument("--seed", type=whole, default=0, help="default 0; the same seed learns the same")
    train.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    train.add_argument("--epochs", type=int, help="of the final model's course")
    train.add_argument("--steps", type=int, help="batches an epoch")
    train.add_argument("--batch", type=int, help="pictures a batch")
    train.add_argument("--rate", type=float, help="highest learning rate")
    train.add_argument("--pixels", type=int, help="of the input, where the net takes the part's own aspect ratio")
    train.add_argument(
        "--tiles", type=_tiles, metavar="W,H,OVERLAP", help="cut pictures into such pieces, in pixels (default: not)"
    )
    train.add_argument("--synthetic", type=float, help="share of good pictures that get a drawn defect")
    train.add_argument(
        "--defects", type=int, help="learn from at most so many defective pictures (0: from drawn ones alone)"
    )
    train.set_defaults(command=_train)
    said = _command(commands, "predict", "a trained model, or an artefact of it, on a split", _PREDICT)
    said.add_argument("run", type=Path, help="a finished run")
    said.add_argument("data", type=Path, help="a prepared folder with splits.json")
    said.add_argument("out", type=Path, help="folder for the predictions")
    said.add_argument("--split", default="test", help="which pictures (default: test)")
    said.add_argument("--artefact", type=Path, help="folder, file or .tar.gz of a compiled model")
    said.set_defaults(command=_predict)


def _command(commands: Commands, name: str, line: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=line, description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def _tiles(text: str) -> Tiles:
    try:
        width, height, overlap = (int(number) for number in text.split(","))
        tiles = msgspec.convert({"width": width, "height": height, "overlap": overlap}, Tiles)
    except (ValueError, msgspec.ValidationError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not W,H,OVERLAP in whole pixels: {error}") from error
    if overlap >= min(width, height):
        raise argparse.ArgumentTypeError(f"{text!r}: the overlap leaves nothing of the tile")
    return tiles


def planned(options: argparse.Namespace) -> Plan:
    """The net's plan with what the command line says. Raises InputError for a value out of range."""
    plan = PLANS[options.model]
    names = ("epochs", "steps", "batch", "rate", "pixels", "synthetic", "defects")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return replace(plan, **given).checked()


def _train(options: argparse.Namespace) -> None:
    data = PreparedSet.open(options.data)
    splits = read_splits(options.data / SPLITS_FILE, data)
    order = Order(net_named(options.model), planned(options), options.seed, options.tiles)
    if not order.net.good_only and _without_defects(order, data, splits):
        print(
            "no real defect to learn from: drawn ones take their place; --model anomaly learns from good pictures alone"
        )
    bars = _Bars()
    try:
        run = Session(data, splits, order, options.run, learner_for).run(bars.report, resume=options.resume)
    except FloatingPointError as error:
        raise InputError(f"{options.run}: {error}") from error
    except OSError as error:  # the frameworks' own writing, of the exported model
        raise StorageError(f"{options.run}: cannot write: {error.strerror}") from error
    finally:
        bars.close()
    if run.start == "scratch":
        print(f"{options.run}: trained from scratch, no ImageNet weights are installed for {run.model}")
    print(f"{options.run}: {run.model}, seed {run.seed}, {run.epochs} epochs, {run.times.seconds:.0f} s")
    for number, fold in enumerate(run.folds):
        print(f"  fold {number + 1}: best epoch {fold.best} of {fold.epochs}, {fold.figures}")


def _without_defects(order: Order, data: PreparedSet, splits: Splits) -> bool:
    real = (entry.defective and not is_drawn(entry) for entry in map(data.entry, splits.splits[TRAIN]))
    return order.plan.defects == 0 or not any(real)


def _predict(options: argparse.Namespace) -> None:
    run, data = read_run(options.run), PreparedSet.open(options.data)
    splits = read_splits(options.data / SPLITS_FILE, data)
    if options.split not in splits.splits:
        raise InputError(f"split {options.split!r} is unknown, expected one of {', '.join(splits.splits)}")
    if run.classes != data.index.classes:
        raise InputError(f"{options.run}: knows the classes {run.classes}, {options.data} has {data.index.classes}")
    source = options.artefact or options.run / MODEL_FILE
    with model_file(source) as path:
        model, digest = open_model(path), digest_of_model(path)
        names = progress(splits.splits[options.split], "predicting")
        count = predict(model, digest, data, run.preparation, names=names, out=options.out)
    print(f"{options.out}: {count} pictures of {options.split} by {source}")


class _Bars:
    """A bar a course on stderr, with the loss and the last figures."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._figures: dict[str, float] = {}
        self.report = Report(self._begin, self._step, self._epoch)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.close()

    def _begin(self, name: str, done: int, steps: int) -> None:
        self.close()
        self._figures = {}
        self._bar = tqdm(initial=done, total=steps, desc=name, unit="step", mininterval=2)

    def _step(self, loss: float) -> None:
        self._bar.update()
        self._bar.set_postfix({"loss": f"{loss:.3f}", **self._figures}, refresh=False)

    def _epoch(self, epoch: Epoch) -> None:
        self._figures = epoch.figures
