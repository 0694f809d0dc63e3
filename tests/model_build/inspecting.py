"""Inspector's own judge and a real agent on a package: `python -m tests.model_build.inspecting PACKAGE PICTURE...` in `.venv`.

Prints one JSON object: of each picture, by its file's name, outcome, score and boxes of the defects.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv/bin/python"  # the line's environment: what trains has neither gRPC nor the components


def inspected(package: Path, pictures: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Run it."""
    command = [str(PYTHON), "-m", "tests.model_build.inspecting", str(package), *map(str, pictures)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(package: Path, pictures: Sequence[Path]) -> None:
    # Only here: the environment of the test that asks for it has none of them.
    from linewatch_agent_api.client import AgentClient
    from linewatch_common.manifest import load_manifest
    from linewatch_common.ring import RingReader, RingWriter, Stamp, ring_path
    from linewatch_inspector.frames import Frame
    from linewatch_inspector.judge import Judge, Rules
    from linewatch_inspector.plan import load_plan
    from linewatch_inspector.predictor import AgentPredictor

    from tests.unit.agent.support import running_core, short_folder
    from tests.unit.inspector.packages import serving

    found = {}
    with short_folder() as folder, running_core(folder) as (_, socket), AgentClient(socket) as client:
        client.load(load_manifest(package).identifier, package)
        plan, predictor = load_plan(serving(package, endpoint=str(socket))), AgentPredictor()
        writer = RingWriter.open(ring_path(folder, "line1"), 4, 1 << 22)
        reader = RingReader(writer.path)
        judge = Judge(Rules(20_000), ring=reader, plan=lambda: plan, predictor=predictor, stopping=threading.Event())
        for path in pictures:
            pixels = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
            height, width = pixels.shape[:2]
            kind = "Mono8" if pixels.ndim == 2 else "BGR8"
            stamp, stride = Stamp.now(), pixels.nbytes // height
            sequence = writer.write_picture(
                pixels.tobytes(), width=width, height=height, stride=stride, pixel_format=kind, stamp=stamp
            )
            verdict = judge.inspect(Frame(station="line1", epoch=writer.epoch, sequence=sequence)).verdict
            boxes = [defect.box for defect in verdict.defects]
            found[path.stem] = {"outcome": verdict.outcome.value, "score": verdict.score, "boxes": boxes}
        predictor.close()
        reader.close()
        writer.close()
    print(json.dumps(found))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
