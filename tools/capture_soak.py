"""Capture under faults: the agent is killed again and again, S3 is away half of the time, and every capture arrives exactly once.

`python -m tools.capture_soak` prints one table row and writes build/capture-soak.json. Exit code 0: nothing is lost, nothing is twice.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
from linewatch_agent_api import agent_pb2 as wire
from linewatch_common.files import write_atomically

from tools import report
from tools.capture_rig import BUCKET, REGION, AgentProcess, Link, S3Server, TokenExchange, closing_all, wait_until

RESULT = report.ROOT / "build/capture-soak.json"
BEGIN, END = "<!-- capture: written by `python -m tools.capture_soak --keep` -->", "<!-- end of capture -->"
# Longest part of an outage cycle; the halves are equal.
OUTAGE_SECONDS = 1.5
DELIVERY_SECONDS = 300.0
SETTINGS = {
    "sagemaker_edge_core_capture_data_destination": "Cloud",
    "sagemaker_edge_core_region": REGION,
    "sagemaker_edge_provider_s3_bucket_name": BUCKET,
    "sagemaker_edge_core_capture_data_push_period_seconds": 1,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run found."""

    captures: int
    kills: int
    outages: int
    arrived: int
    twice: int
    lost: int
    raw_missing: int
    seconds: float


class Outages:
    """Cuts the link for half of the time, in random cycles, until it is closed."""

    def __init__(self, link: Link, seed: int) -> None:
        self._link = link
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.count = 0

    def start(self) -> None:
        """Begin, with the link up."""
        self._link.restore()
        self._thread.start()

    def end(self) -> None:
        """Leave the link up."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            half = self._random.uniform(0.1, OUTAGE_SECONDS)
            self._stopping.wait(half)
            self._link.cut()
            self.count += 1
            time.sleep(half)
            self._link.restore()


def soak(captures: int, kills: int, seed: int, folder: Path) -> Figures:
    """One run."""
    began = time.monotonic()
    chance = random.Random(seed)
    ids = [f"capture-{number}" for number in range(captures)]
    with closing_all() as stack:
        server = S3Server()
        stack.callback(server.close)
        exchange = TokenExchange()
        stack.callback(exchange.close)
        link = Link(server.port)
        stack.callback(link.cut)
        outages = Outages(link, seed)
        outages.start()
        agent = AgentProcess(folder, {"AWS_ENDPOINT_URL_S3": link.url, **exchange.environment}, **SETTINGS)
        stack.callback(agent.kill)
        waiting = list(reversed(ids))
        for kill in range(kills):
            agent.start()
            _capture_until_killed(agent, waiting, len(waiting) // (kills - kill), chance)
            print(f"kill {kill + 1} of {kills}: {captures - len(waiting)} captures taken", flush=True)
        outages.end()
        agent.start()
        while waiting:
            _capture(agent, waiting)
        wait_until(lambda: _all_delivered(agent, ids), DELIVERY_SECONDS, "every capture's SUCCESS")
        return _figures(server, ids, kills, outages.count, began)


def _capture_until_killed(agent: AgentProcess, waiting: list[str], share: int, chance: random.Random) -> None:
    """Capture `share` of what waits; the kill comes anywhere in the course of it or soon after."""
    # Longest: the push period, an upload, and the first pause after a failed one.
    killer = threading.Timer(chance.uniform(0.01, 2.5), agent.signal_kill)
    killer.start()
    wanted = len(waiting) - share
    try:
        while len(waiting) > wanted:
            _capture(agent, waiting)
            time.sleep(chance.uniform(0, 0.05))
    except grpc.RpcError as error:
        if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            raise
    killer.join()
    agent.kill()


def _capture(agent: AgentProcess, waiting: list[str]) -> None:
    """The last of `waiting`; one whose answer was lost in a kill is asked for again, and may be known."""
    try:
        agent.capture(waiting[-1])
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            time.sleep(0.1)
            return
        if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
            raise
    waiting.pop()


def _all_delivered(agent: AgentProcess, ids: list[str]) -> bool:
    return all(agent.status(capture_id) == wire.SUCCESS for capture_id in ids)


def _figures(server: S3Server, ids: list[str], kills: int, outages: int, began: float) -> Figures:
    arrived, keys = server.captured(), set(server.keys())
    lines = server.lines()
    references = [entry["data-ref"] for line in lines for entry in line["deviceFleetInputs"] if "data-ref" in entry]
    return Figures(
        captures=len(ids),
        kills=kills,
        outages=outages,
        arrived=len(arrived),
        twice=sum(count > 1 for count in arrived.values()),
        lost=len(set(ids) - set(arrived)),
        raw_missing=sum(reference.removeprefix(f"s3://{BUCKET}/") not in keys for reference in references),
        seconds=round(time.monotonic() - began, 1),
    )


def as_markdown(figures: Figures) -> str:
    """A table with one row."""
    names = asdict(figures)
    head = " | ".join(name.replace("_", " ") for name in names)
    return f"| {head} |\n|{'---:|' * len(names)}\n| {' | '.join(str(value) for value in names.values())} |"


def main() -> int:
    """Exit 0 when nothing is lost and nothing is twice."""
    parser = argparse.ArgumentParser(prog="python -m tools.capture_soak", description=__doc__)
    parser.add_argument("--captures", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="renew the figures in docs/benchmarks.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lw-") as folder:
        figures = soak(arguments.captures, arguments.kills, arguments.seed, Path(folder))
    print(as_markdown(figures))
    RESULT.parent.mkdir(exist_ok=True)
    write_atomically(RESULT, (json.dumps(asdict(figures), indent=2) + "\n").encode(), mode=0o644)
    if arguments.keep:
        report.keep(BEGIN, END, f"{report.today()}, {report.machine()}.\n\n{as_markdown(figures)}")
    return 1 if figures.lost or figures.twice or figures.raw_missing else 0


if __name__ == "__main__":
    sys.exit(main())
