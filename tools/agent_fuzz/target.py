"""The agent under attack: a process of its own, with whole models, small limits, and both interfaces."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linewatch_common.errors import ConfigError

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LIMITS = {
    "linewatch_memory_budget_mb": 1500,
    "linewatch_capture_disk_mb": 20,
    "linewatch_capture_buffer_mb": 8,
    "sagemaker_edge_core_capture_data_push_period_seconds": 1,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds: memory in RAM in MB, open files, threads."""

    megabytes: float
    files: int
    threads: int


@dataclass(frozen=True, slots=True)
class Target:
    """A running agent. `classifier` and `segmenter` are the packages that it may load."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    classifier: Path
    segmenter: Path

    @property
    def edge(self) -> Path:
        """The socket of AWS.SageMaker.Edge."""
        return self.folder / "edge.sock"

    @property
    def lookout(self) -> Path:
        """The socket of AWS.LookoutVision."""
        return self.folder / "lookout.sock"

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    def held(self) -> Held:
        """What it holds now."""
        place = Path(f"/proc/{self.process.pid}")
        pages = int((place / "statm").read_text(encoding="ascii").split()[1])
        files, threads = (len(list((place / name).iterdir())) for name in ("fd", "task"))
        return Held(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files, threads)


@contextmanager
def running_target(folder: Path, classifier: Path, segmenter: Path) -> Iterator[Target]:
    """Start an agent that works in `folder`, and end it. Raises ConfigError when it does not come up."""
    config = folder / "config.json"
    roots = [str(folder), str(classifier), str(segmenter)]
    models = {"whole": [str(classifier), str(segmenter)]}
    lookout = {"linewatch_lookout_socket": str(folder / "lookout.sock"), "linewatch_lookout_models": models}
    config.write_text(json.dumps({**LIMITS, **lookout, "linewatch_allowed_roots": roots}), encoding="utf-8")
    command = [sys.executable, "-m", "linewatch_agent", "-a", str(folder / "edge.sock"), "-c", str(config)]
    with (folder / "agent.log").open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    target = Target(folder, process, classifier, segmenter)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not (target.edge.exists() and target.lookout.exists()):
            if not target.alive() or time.monotonic() > give_up:
                raise ConfigError(
                    f"the agent does not start: {(folder / 'agent.log').read_text(encoding='utf-8')[-500:]}"
                )
            time.sleep(0.05)
        yield target
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
