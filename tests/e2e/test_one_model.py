"""One model for both roles takes a running line over from classifier and segmenter, without losing a frame, and judges it alone."""

import pytest

from tests.e2e.truth import demo_truth
from tools.line import MODELS, Inspected, Line, LineSettings
from tools.line.line import BUILD, VERSION

(INSPECTOR,) = MODELS["inspector"]
SECONDS = 60.0  # an install, a proof and an activation take about 5 s; a busy machine more
JUDGED_ALONE = 40  # all of the demo's parts once


def test_the_inspector_takes_the_line_over_and_judges_it_alone(
    bundle: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Line(LineSettings(fps=10.0), tmp_path_factory.mktemp("line")) as line:
        line.deploy()
        line.wait_for(lambda: len(line.records.rows()) >= 5, SECONDS, "the first verdicts")
        deployment = line.core.wait(
            line.core.deploy(
                recipes=BUILD / "recipes",
                artifacts=BUILD / "artifacts",
                merge={INSPECTOR: VERSION},
                remove=list(MODELS["pair"]),
            ),
            SECONDS,
        )
        assert deployment.succeeded, deployment.cause
        line.wait_for(lambda: len(_by_one(line)) >= JUDGED_ALONE, SECONDS, f"{JUDGED_ALONE} verdicts of the inspector")
        names = {component.name for component in line.core.list_components()}
        assert INSPECTOR in names
        assert not names & set(MODELS["pair"])
        line.core.stop("com.linewatch.Camera")
        line.wait_for(lambda: len(line.records.rows()) >= line.records.captured(), SECONDS, "all outcomes")
        rows, unaccounted = line.records.rows(), line.records.unaccounted()
        alone = _by_one(line)
    assert unaccounted == []
    assert {row.outcome for row in rows} <= {"pass", "fail", "review"}
    # Once it judges, nothing else does.
    assert alone == rows[-len(alone) :]
    truth = demo_truth()
    right = [row for row in alone if (row.outcome != "pass") == truth[row.verdict["part_id"]]]
    assert len(right) >= len(alone) * 0.85
    assert any(row.verdict["defects_total"] for row in alone)


def _by_one(line: Line) -> list[Inspected]:
    return [row for row in line.records.rows() if [use["role"] for use in row.verdict["models"]] == ["inspector"]]
