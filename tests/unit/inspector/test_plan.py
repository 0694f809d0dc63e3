"""Which models judge, and when that changes."""

from pathlib import Path

import msgspec
import pytest
from linewatch_common.errors import PackageError
from linewatch_common.messages import AgentStatus
from linewatch_inspector.plan import PlanKeeper, load_plan

from tests.unit.inspector.packages import make_package, serving


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    make_package(tmp_path / "c", "classifier")
    make_package(tmp_path / "s", "segmenter")
    return tmp_path / "c", tmp_path / "s"


def test_a_plan_is_both_roles_with_their_operating_points(folders: tuple[Path, Path]) -> None:
    plan = load_plan(serving(*folders))
    assert plan.in_use == ["TestClassifier-1-0-0", "TestSegmenter-1-0-0"]
    assert (plan.score.fail, plan.score.review, plan.mask.pixel) == (0.6, 0.4, 0.9)
    assert plan.endpoint == "/run/agent.sock"


def test_a_role_that_is_not_served_is_named(folders: tuple[Path, Path]) -> None:
    with pytest.raises(PackageError, match="no model for the role segmenter"):
        load_plan(serving(folders[0]))


def test_a_manifest_that_is_not_the_one_the_agent_names_is_refused(folders: tuple[Path, Path]) -> None:
    status = serving(*folders)
    make_package(folders[0], "classifier", fail=0.99)
    with pytest.raises(PackageError, match="digest"):
        load_plan(status)
    make_package(folders[0], "classifier", version="3.0.0")
    with pytest.raises(PackageError, match="TestClassifier-3-0-0"):
        load_plan(status)


def test_the_keeper_follows_the_agent(folders: tuple[Path, Path], tmp_path: Path) -> None:
    changes: list[str] = []
    keeper = PlanKeeper(lambda: changes.append("changed"))
    keeper.refresh()
    assert (keeper.ready, keeper.in_use, keeper.adopt()) == (False, [], None)
    assert "agent" in keeper.problem
    keeper.hear(serving(*folders))
    keeper.refresh()
    assert (keeper.ready, keeper.in_use, keeper.problem) == (True, [], "")
    first = keeper.adopt()
    assert first is not None
    assert keeper.in_use == first.in_use
    keeper.hear(serving(*folders))
    keeper.refresh()
    assert keeper.adopt() is first
    make_package(tmp_path / "c2", "classifier", version="2.0.0")
    keeper.hear(serving(tmp_path / "c2", folders[1]))
    keeper.refresh()
    assert keeper.in_use == first.in_use, "named until the inspection thread has changed over"
    keeper.adopt()
    assert keeper.in_use == ["TestClassifier-2-0-0", "TestSegmenter-1-0-0"]
    assert changes == ["changed", "changed"]


def test_an_unreadable_manifest_keeps_the_models_before_a_missing_role_does_not(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    keeper = PlanKeeper(lambda: None)
    keeper.hear(serving(*folders))
    keeper.refresh()
    before = keeper.adopt()
    status = serving(*folders)
    gone = msgspec.structs.replace(status.roles["classifier"], folder=str(tmp_path / "gone"))
    keeper.hear(msgspec.structs.replace(status, roles={**status.roles, "classifier": gone}))
    keeper.refresh()
    assert keeper.adopt() is before
    assert "stay in use" in keeper.problem
    keeper.hear(AgentStatus(endpoint="/run/agent.sock", boot_id="b", roles={}))
    keeper.refresh()
    assert keeper.adopt() is None
    assert "classifier and segmenter" in keeper.problem
    keeper.hear(status)
    keeper.refresh()
    assert keeper.ready


def test_another_endpoint_is_another_plan(folders: tuple[Path, Path]) -> None:
    keeper = PlanKeeper(lambda: None)
    keeper.hear(serving(*folders))
    keeper.refresh()
    keeper.hear(serving(*folders, endpoint="/run/other.sock"))
    keeper.refresh()
    plan = keeper.adopt()
    assert plan is not None
    assert plan.endpoint == "/run/other.sock"
