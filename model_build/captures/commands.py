"""`captures` of the command line."""

import argparse
import json
import re
from dataclasses import asdict
from pathlib import Path

import boto3
from linewatch_common.errors import InputError

from model_build.captures.fetching import Source, fetch
from model_build.captures.lines import read_captures
from model_build.captures.rates import rates
from model_build.data.commands import Commands, progress

_FETCH = """Copy what the fleet captured from S3 into a folder. What is there already stays, so the same command fetches what is new.

Credentials and endpoint are boto3's own (AWS_PROFILE, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 …).

  python -m model_build captures fetch s3://my-bucket/sme-capture/plant-a build/captured --since 2026-11-01
  python -m model_build captures rates build/captured
  python -m model_build prepare build/captured build/data/plant-a-2026-11
"""
_RATES = """Reject rates of each model, and how often operators disagree, with 95 % intervals.

Only the stratum `random` counts: what was captured because it did not pass, or because somebody labelled it, would bend every rate.
"""


def add_commands(commands: Commands) -> None:
    """Add `captures` to the parser."""
    captures = commands.add_parser("captures", help="captured data back from the fleet: fetch, rates")
    actions = captures.add_subparsers(dest="action", required=True, metavar="ACTION")
    raw = argparse.RawDescriptionHelpFormatter
    fetching = actions.add_parser("fetch", help="from S3 to a folder", description=_FETCH, formatter_class=raw)
    fetching.add_argument("source", metavar="s3://BUCKET/PREFIX", help="FolderPrefix and fleet of the agents")
    fetching.add_argument("folder", type=Path, help="folder to fill")
    fetching.add_argument("--since", type=_day, metavar="YYYY-MM-DD", help="first day, UTC (default: all)")
    fetching.set_defaults(command=_fetch)
    counting = actions.add_parser("rates", help="what the random draw says", description=_RATES, formatter_class=raw)
    counting.add_argument("folder", type=Path, help="a folder that `captures fetch` filled")
    counting.add_argument("--json", action="store_true", help="for programs")
    counting.set_defaults(command=_rates)


def _fetch(options: argparse.Namespace) -> None:
    source = Source.parse(options.source, options.since)
    done = fetch(boto3.client("s3"), source, options.folder, lambda things: progress(things, "fetching"))
    print(f"{options.folder}: {done.fetched} object(s) fetched, {done.there} were there")


def _rates(options: argparse.Namespace) -> None:
    found = read_captures(options.folder)
    rows = rates(found)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    if not rows:
        raise InputError(
            f"{options.folder}: {len(found.inspections)} inspections, none drawn at random: set CapturePercent"
        )
    for row in rows:
        low, high = row.reject_rate
        print(f"{row.model}: {row.rejects} of {row.drawn} rejected ({low:.1%} to {high:.1%})")
        low, high = row.disagreement
        print(
            f"  of {row.labelled} labelled: {row.escapes} escapes, {row.false_rejects} false rejects "
            f"(disagreement {low:.1%} to {high:.1%})"
        )


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not YYYY-MM-DD")
    return text
