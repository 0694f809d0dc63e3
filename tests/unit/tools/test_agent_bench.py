"""What the agent's bench makes of its times."""

import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tools.agent_bench import figures as f
from tools.agent_bench.measuring import TIMED, interleaved, row
from tools.agent_bench.paths import FRAMES_A_LANE, InFlight
from tools.report import keep, merge

ROWS = {
    f.R18: 4.0,
    f.UNET: 8.0,
    f"r18, agent, {f.BYTES}": 6.0,
    f"r18, agent, {f.SHARED}": 5.0,
    f"r18, agent, {f.UINT8}": 4.4,
    f"{f.UNET_OURS}{f.BYTES}": 12.0,
    f"{f.UNET_OURS}{f.UINT8}": 9.0,
    f"{f.TWO_IN_PROCESS}one after the other": 12.0,
    f"{f.TWO_IN_PROCESS}at once, threads each: 1": 9.0,
    f"{f.TWO_OURS}at once": 10.0,
    f"{f.TWO_OURS}one after the other": 14.0,
    f.MLSERVER: 15.0,
}


def _rows(**changes: float) -> dict[str, dict[str, float]]:
    return {name: {"min": value / 2, "p50": value, "p99": value * 3} for name, value in (ROWS | changes).items()}


def test_ratios_take_the_best_way_of_each_side() -> None:
    assert f.ratios(_rows()) == {
        "r18_bytes": 1.5,
        "r18_shm": 1.25,
        "r18_uint8_shm": 1.1,
        "unet_best": 1.125,
        "two_models_fps": 0.9,
        "mlserver_over_ours": 2.5,
    }


def test_a_limit_that_is_not_kept_is_named_and_a_row_that_is_missing_too() -> None:
    found = f.ratios(_rows())
    assert f.broken(found) == ["r18_bytes: 1.50, promised at most 1.45"]
    del found["mlserver_over_ours"]
    found |= {"r18_bytes": 1.2, "two_models_fps": 0.5}
    assert f.broken(found) == [
        "mlserver_over_ours: not measured",
        "two_models_fps: 0.50, promised at least 0.9",
    ]


def test_the_table_holds_every_row_and_ratio() -> None:
    rows = _rows()
    figures: dict[str, Any] = {"at": "today", "machine": "one", "runs": 3, "rows": rows}
    figures |= {"ratios": f.ratios(rows), "ratios_of_minima": f.ratios(rows, "min")}
    text = f.as_markdown(figures)
    assert f"| {f.MLSERVER} | 7.50 | 15.00 | 45.00 |" in text
    assert "| mlserver_over_ours | 2.50 | 2.50 | ≥ 2 |" in text


def test_every_way_has_its_turn_in_every_round() -> None:
    calls: list[str] = []
    taken = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3)
    turn = TIMED + 1
    assert [len(set(calls[at : at + turn])) for at in range(0, len(calls), turn)] == [1] * 6
    assert {name: len(values) for name, values in taken.items()} == {"a": 3 * TIMED, "b": 3 * TIMED}
    assert row([3.0, 1.0, 2.0]) == {"min": 1.0, "p50": 2.0, "p99": 3.0}


def test_figures_of_two_measurements_stand_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    merge({"frames": 200, "at": "then"}, path)
    merge({"ratios": {"r18_bytes": 1.1}, "at": "now"}, path)
    assert json.loads(path.read_text()) == {"frames": 200, "at": "now", "ratios": {"r18_bytes": 1.1}}


def test_a_page_is_renewed_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<b>\nold\n<e>\nafter\n")
    keep("<b>", "<e>", "new", page)
    keep("<b>", "<e>", "newer", page)
    assert page.read_text() == "before\n<b>\n\nnewer\n\n<e>\nafter\n"


def test_a_way_of_several_frames_counts_for_one_of_them() -> None:
    class Thousand:
        frames = 1000

        def __call__(self) -> None:
            time.sleep(0.002)

    taken = interleaved({"one": lambda: time.sleep(0.002), "thousand": Thousand()}, 1)
    assert min(taken["one"]) >= 2
    assert 0.002 <= min(taken["thousand"]) < 1


def test_frames_in_flight_overlap() -> None:
    both, done = threading.Barrier(2), list[int]()

    def lane() -> None:
        both.wait(5)  # breaks where one lane waits for the other
        done.append(1)

    with ExitStack() as held:
        flight = InFlight(held, [lane, lane])
        flight()
        assert len(done) == flight.frames == 2 * FRAMES_A_LANE
