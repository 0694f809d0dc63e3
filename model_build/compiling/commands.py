"""`compile` of the command line."""

import argparse
from dataclasses import replace
from pathlib import Path

from linewatch_common.errors import InputError, LinewatchError
from linewatch_common.manifest import file_sha256

from model_build.argument_types import fraction, whole
from model_build.compiling import targets
from model_build.compiling.artefact import LATENCY_FILE, Artefact, Tolerance
from model_build.compiling.compiler import Job, compile_to
from model_build.compiling.pictures import choose_pictures
from model_build.compiling.source import FloatModel, read_float
from model_build.data.commands import Commands, progress
from model_build.data.prepared import PreparedSet
from model_build.data.splits import SPLITS_FILE, TRAIN, read_splits
from model_build.evaluation.operating_point import Target as Operating
from model_build.training.run import WEIGHTS_FILES

TARGETS = ("onnx", "onnx-int8", "openvino-int8", "tflite-int8", "neo")
_COMPILE = """Make what a device runs from a finished run, and hold it against the float model.

  onnx           the float model as it is
  onnx-int8      8-bit ONNX (QDQ): for OpenVINO on the device, which is the default, and for ONNX Runtime
  openvino-int8  QDQ or nncf's quantisation, whichever is faster here; nncf's is OpenVINO's own form (.xml, .bin)
  tflite-int8    TensorFlow Lite, from runs in TensorFlow
  neo            a SageMaker Neo CompilationJob (--neo-…)

Training pictures, drawn with --seed, calibrate; others of them are judged by both models. A model that loses more than the tolerance is
refused: one line, exit 1, nothing written. OUT/artefact.json says what was tried; OUT/latency.json what it costs on this machine.

The INT8 targets need .venv-train, tflite-int8 needs .venv-tensorflow, neo needs .venv (docs/compiling.md).

  python -m model_build compile build/runs/inspector-0 build/artefacts/inspector-0 --data build/data/kolektorsdd --target onnx-int8
"""


def add_commands(commands: Commands) -> None:
    """Add it to the parser."""
    parser = commands.add_parser(
        "compile",
        help="a finished run as ONNX, INT8, TensorFlow Lite or Neo, held against the float model",
        description=_COMPILE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("out", type=Path, help="the artefact folder to make")
    parser.add_argument("--data", type=Path, required=True, help="the prepared folder that the run was trained on")
    parser.add_argument("--target", choices=TARGETS, default="onnx-int8", help="default: onnx-int8")
    parser.add_argument("--seed", type=whole, default=0, help="draws the pictures (default 0)")
    parser.add_argument("--calibrate", type=_count, default=40, help="pictures that calibrate (default 40)")
    parser.add_argument("--compare", type=_count, default=200, help="at most so many others are compared (default 200)")
    allowed = Tolerance()
    parser.add_argument("--image-ap-loss", type=fraction, default=allowed.image_ap, help=f"default {allowed.image_ap}")
    parser.add_argument("--pixel-ap-loss", type=fraction, default=allowed.pixel_ap, help=f"default {allowed.pixel_ap}")
    parser.add_argument(
        "--flips",
        type=fraction,
        default=allowed.flips,
        help=f"share of other verdicts allowed (default {allowed.flips})",
    )
    _neo_options(parser)
    parser.set_defaults(command=_compile)


def _neo_options(parser: argparse.ArgumentParser) -> None:
    neo = parser.add_argument_group("neo")
    neo.add_argument("--neo-role", metavar="ARN", help="the role that the job runs as")
    neo.add_argument("--neo-s3", metavar="S3URI", help="s3://bucket/prefix for model and result")
    neo.add_argument("--neo-region", help="AWS region (default: as for the AWS CLI)")
    neo.add_argument("--neo-device", metavar="NAME", help="TargetDevice, e.g. jetson_xavier; else a platform:")
    neo.add_argument("--neo-arch", default="X86_64", help="X86_64 (default), ARM64, …")
    neo.add_argument("--neo-accelerator", help="NVIDIA, INTEL_GRAPHICS, …")
    neo.add_argument("--neo-options", metavar="JSON", help="CompilerOptions")
    neo.add_argument("--or-onnx", action="store_true", help="when the job fails: the float ONNX, with a note")


def _compile(options: argparse.Namespace) -> None:
    data = PreparedSet.open(options.data)
    splits = read_splits(options.data / SPLITS_FILE, data)
    floating = read_float(options.run, data, splits, Operating())
    pictures = choose_pictures(data, splits.splits[TRAIN], options.seed, options.calibrate, options.compare)
    tolerance = Tolerance(image_ap=options.image_ap_loss, pixel_ap=options.pixel_ap_loss, flips=options.flips)
    job = Job(floating, data, pictures, options.seed, tolerance)
    target = _target(options, floating)
    try:
        made = _made(target, job, options.out)
    except LinewatchError as error:
        if not (target.name == "neo" and options.or_onnx):
            raise
        note = f"Neo gave nothing, this is the float ONNX: {error}"
        print(note)
        made = _made(replace(targets.onnx(), note=note), job, options.out)
    print("\n".join(_summary(made, options.out)))


def _made(target: targets.Target, job: Job, out: Path) -> Artefact:
    return compile_to(target, job, out, steps=lambda names: progress(names, "comparing"))


def _summary(made: Artefact, out: Path) -> list[str]:
    size = sum((out / name).stat().st_size for name in made.files)
    lines = [f"{out}: {made.target} by {made.recipe}, {size / 1e6:.2f} MB; latency in {out / LATENCY_FILE}"]
    found = made.comparison
    if found is None:
        return [*lines, f"not compared: {made.note}"]
    lines.append(
        f"on {len(found.ids)} training pictures{' that it learnt from' if found.seen else ''}: {found.flips} other verdicts, "
        f"scores differ by at most {found.score_difference:.4f}"
    )
    return lines + [
        f"{name}: {figure.floating:.4f} float, {figure.compiled:.4f} compiled"
        for name, figure in (("image AP", found.image_ap), ("pixel AP", found.pixel_ap))
        if figure is not None
    ]


def _target(options: argparse.Namespace, floating: FloatModel) -> targets.Target:
    if options.target == "tflite-int8":
        run = floating.run
        weights = options.run / WEIGHTS_FILES[run.framework]
        if file_sha256(weights) != run.weights:
            raise InputError(f"{weights}: was changed since the run ended")
        return targets.tflite_int8(run.framework, run.model, weights, len(run.classes))
    if options.target == "neo":
        return _neo(options)
    return {"onnx": targets.onnx, "onnx-int8": targets.onnx_int8, "openvino-int8": targets.openvino_int8}[
        options.target
    ]()


def _neo(options: argparse.Namespace) -> targets.Target:
    if not options.neo_role or not str(options.neo_s3).startswith("s3://"):
        raise InputError("target 'neo' needs --neo-role ARN and --neo-s3 s3://bucket/prefix")
    try:
        import boto3  # noqa: PLC0415 - only this target needs it

        from model_build.compiling.neo import Hardware, Neo, translated  # noqa: PLC0415 - and botocore
    except ModuleNotFoundError as error:
        raise InputError(f"target 'neo' needs {error.name}, which lives in .venv") from error
    bucket, _, prefix = options.neo_s3.removeprefix("s3://").partition("/")
    hardware = Hardware(
        options.neo_device, arch=options.neo_arch, accelerator=options.neo_accelerator, options=options.neo_options
    )
    with translated("Neo"):  # a missing region is found here
        s3, sagemaker = (boto3.client(name, region_name=options.neo_region) for name in ("s3", "sagemaker"))
        job = Neo(s3, sagemaker, options.neo_role, bucket, prefix, hardware)
    return targets.Target(
        "neo",
        ((job,),),
        calibrates=False,
        runs_here=not (options.neo_device or options.neo_accelerator),
        unjudged="a Neo model runs on its target only: it proves itself there by the golden set",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value
