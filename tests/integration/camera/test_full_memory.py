"""The camera on a shared-memory file system that is too small."""

import subprocess
from pathlib import Path

import numpy as np
from linewatch_common.messages.status import ComponentState

from tests.unit.camera.line import Line, until
from tests.unit.camera.pictures import save


def test_a_full_shared_memory_is_one_clear_reason_and_work_begins_when_there_is_room(
    small_file_system: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "line"
    folder.mkdir()
    line = Line(folder, small_file_system)
    save(line.pictures / "p1.png", np.full((8, 8), 1, np.uint8))
    with line.camera() as camera:
        line.inspector()
        until(lambda: "No space left on device" in camera.status().reason)
        status = camera.status()
        ring = small_file_system / "linewatch-line1.ring"
        assert status.state is ComponentState.DEGRADED
        assert status.reason.startswith(
            f"{ring}: cannot make a ring of 16.9 MB: No space left on device (4.2 MB are free)"
        )
        assert list(small_file_system.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_file_system)], check=True)
        line.inspector()
        assert [frame.part_id for frame in line.wait_for_frames(1)] == ["p1"]
        until(lambda: camera.status().state is ComponentState.READY)
