"""`pipeline definition`, `pipeline upsert` and `pipeline start` of the command line."""

import argparse
import os
import sys
from pathlib import Path

from linewatch_common.errors import InputError
from linewatch_common.files import write_atomically

from model_build.data.commands import Commands
from model_build.data.pixels import read_bounded
from model_build.pipelines.cloud import Cloud
from model_build.pipelines.offline import emitted
from model_build.pipelines.plans import EXAMPLE, PIPELINES, Place, plan_named
from model_build.pipelines.source import ARCHIVE_FILE, STARTER_FILE, archive, code_digest, starter

_PIPELINE = f"""The SageMaker pipelines: {", ".join(f"{plan.name} ({plan.component})" for plan in PIPELINES.values())}.

Each prepares the data, trains, evaluates, compiles, evaluates what was compiled, and then registers the package with the digest of every
artefact, pending a person's approval, or fails with the gate's reason. docs/pipelines.md lists the parameters.

`definition` opens no socket; the SageMaker SDK runs in .venv-sagemaker (`make .venv-sagemaker/.installed`). `upsert` uploads the code and
creates or updates the pipeline with your AWS credentials; --definition takes one that was written before. `start` runs it, and looks
up the registry for the model's next version.

  python -m model_build pipeline definition inspector --out inspector.json
  python -m model_build pipeline upsert inspector --region eu-central-1 --bucket BUCKET --role ARN
  python -m model_build pipeline start inspector --region eu-central-1 --parameter InputData=s3://BUCKET/raw
"""
_RAW = argparse.RawDescriptionHelpFormatter


def add_commands(commands: Commands) -> None:
    """Add it to the parser."""
    top = commands.add_parser("pipeline", help="the SageMaker pipelines", description=_PIPELINE, formatter_class=_RAW)
    actions = top.add_subparsers(dest="action", required=True, metavar="ACTION")
    written = actions.add_parser("definition", help="write the definition, offline")
    written.add_argument("--out", type=Path, help="default: standard output")
    written.set_defaults(command=_definition)
    upserted = actions.add_parser("upsert", help="create or update the pipeline in AWS")
    upserted.add_argument("--definition", type=Path, help="a definition of this code, region, bucket and role")
    upserted.set_defaults(command=_upsert)
    started = actions.add_parser("start", help="start an execution in AWS")
    started.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", type=_pair)
    started.add_argument("--token", help="32 characters or more: the same token starts one execution")
    started.set_defaults(command=_start)
    for parser in (written, upserted, started):
        parser.add_argument("name", choices=list(PIPELINES))
        parser.add_argument("--region", default=EXAMPLE.region, help=f"default {EXAMPLE.region}")
    for parser in (written, upserted):
        parser.add_argument(
            "--bucket", default=EXAMPLE.bucket, required=parser is upserted, help="for code and results"
        )
        parser.add_argument(
            "--role", default=EXAMPLE.role, required=parser is upserted, help="ARN that the jobs run as"
        )


def _definition(options: argparse.Namespace) -> None:
    text = emitted([plan_named(options.name)], _place(options), code_digest(archive()), os.environ)[0]
    if options.out is None:
        sys.stdout.write(text)
    else:
        write_atomically(options.out, text.encode(), 0o644)
        print(f"{options.out}: {len(text)} bytes")


def _upsert(options: argparse.Namespace) -> None:
    plan, place, packed = plan_named(options.name), _place(options), archive()
    digest = code_digest(packed)
    if options.definition:
        text = read_bounded(options.definition).decode(errors="replace")
    else:
        text = emitted([plan], place, digest, os.environ)[0]
    if f"{place.code(digest)}/{ARCHIVE_FILE}" not in text:
        raise InputError(f"{options.definition}: is of other code or another bucket than {place.code(digest)}")
    cloud = Cloud.connected(options.region)
    cloud.put(f"{place.code(digest)}/{STARTER_FILE}", starter())
    cloud.put(f"{place.code(digest)}/{ARCHIVE_FILE}", packed)
    print(f"{cloud.upsert(plan, place, text)}: code {digest[:12]}")


def _start(options: argparse.Namespace) -> None:
    plan, parameters = plan_named(options.name), dict(options.parameter)
    cloud = Cloud.connected(options.region)
    number, model = cloud.latest(parameters.get("ModelPackageGroupName", plan.group))
    parameters.setdefault("RegistryVersion", str(number + 1))
    if model is not None:
        parameters.setdefault("PreviousPackage", model.package_uri)
    print(cloud.start(plan, parameters, options.token))


def _place(options: argparse.Namespace) -> Place:
    return Place(options.region, options.bucket, options.role)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
