"""`publish` of the command line."""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tqdm import tqdm

from model_build.fleet.calls import Caller
from model_build.fleet.connect import Connection
from model_build.fleet.errors import FleetInputError
from model_build.publishing.built import BuiltComponent, read_built
from model_build.publishing.publisher import Published, Publisher

if TYPE_CHECKING:  # the data commands need more than a deployer has
    from model_build.data.commands import Commands

_PUBLISH = """Publish built components: artefacts to S3, recipes to AWS IoT Greengrass, and wait until they can be deployed.

What is published already with the same content is skipped. A version that is published with other content is refused: nothing is ever
overwritten. After an interruption the same command goes on where it stopped.

  make build
  python -m model_build publish greengrass-build --bucket my-components
  python -m model_build publish greengrass-build --bucket my-components --component com.linewatch.Inspector --dry-run
"""
BUCKET_VARIABLE = "LINEWATCH_COMPONENT_BUCKET"


def add_commands(commands: "Commands") -> None:
    """Add it to the parser."""
    parser = commands.add_parser(
        "publish",
        help="upload built components, create their versions",
        description=_PUBLISH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="what `make build` fills: recipes/ and artifacts/")
    parser.add_argument(
        "--bucket", default=os.environ.get(BUCKET_VARIABLE, ""), help=f"S3 bucket (or {BUCKET_VARIABLE})"
    )
    parser.add_argument(
        "--component", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the calls that would be made")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--region", default="", help="AWS region (default: as for the AWS CLI)")
    parser.add_argument("--profile", default="", help="AWS profile (default: as for the AWS CLI)")
    parser.set_defaults(command=_publish)


def _publish(options: argparse.Namespace) -> None:
    if not options.bucket:
        raise FleetInputError(f"name the bucket: --bucket or {BUCKET_VARIABLE}")
    components = read_built(options.folder, options.bucket, options.component)
    connection = Connection(options.region, options.profile)
    caller = Caller(on_wait=tqdm.write)
    greengrass, s3 = connection.client("greengrassv2"), connection.client("s3")
    if options.dry_run:
        _dry_run(Publisher(greengrass, s3, options.bucket, caller), components, options.json)
        return
    size = sum(artifact.size for component in components for artifact in component.artifacts)
    done: list[Published] = []
    with tqdm(total=size, unit="B", unit_scale=True, desc="publishing", leave=False, mininterval=1) as bar:
        publisher = Publisher(greengrass, s3, options.bucket, caller, on_bytes=bar.update)
        for component in components:
            published = publisher.publish(component)
            done.append(published)
            if not options.json:
                tqdm.write(_line(published))
    if options.json:
        print(msgspec.json.encode(done).decode())


def _dry_run(publisher: Publisher, components: list[BuiltComponent], as_json: bool) -> None:
    planned = [publisher.planned(component) for component in components]
    if as_json:
        print(json.dumps([{**msgspec.to_builtins(outcome), "calls": calls} for outcome, calls in planned]))
        return
    for outcome, calls in planned:
        print(_line(outcome))
        for call in calls:
            print(f"  {call['service']} {call['operation']} {json.dumps(call['parameters'], sort_keys=True)}")


def _line(published: Published) -> str:
    uploaded = f", {len(published.uploaded)} file(s), {published.bytes / 1e6:.1f} MB" if published.uploaded else ""
    return f"{published.name} {published.version}: {published.action}{uploaded}"
