"""Component logs: stamped, bounded, and never in the way."""

import re
from pathlib import Path

from localcore.logs import ComponentLog, read_tail


def test_lines_are_stamped_and_the_files_stay_bounded(tmp_path: Path) -> None:
    log = ComponentLog(tmp_path / "logs" / "A.log", max_bytes=1000)
    for number in range(200):
        log.write("stdout", f"line {number}")
    log.close()
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert files == ["A.log", "A.log.1"]
    assert all(path.stat().st_size <= 1100 for path in (tmp_path / "logs").iterdir())
    tail = read_tail(log.path, 25)
    assert [int(line.rpartition(" ")[2]) for line in tail] == list(range(175, 200))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z stdout line 199", tail[-1])


def test_a_disk_that_refuses_loses_lines_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "A.log"
    path.mkdir()  # opening it for writing fails, as on a full or broken disk
    log = ComponentLog(path)
    log.write("stdout", "lost")
    assert log.lost == 1
    path.rmdir()
    log.write("stdout", "kept")
    log.close()
    assert path.read_text().endswith("stdout kept\n")
