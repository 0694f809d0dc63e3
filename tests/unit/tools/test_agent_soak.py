"""What the agent's soak makes of what it measured."""

from dataclasses import replace

from linewatch_agent_api import agent_pb2 as edge

from tools.agent_bench import clients, memory
from tools.agent_fuzz.attack import REPEATED_SHARE, CaptureIds

FIGURES = clients.Figures(
    clients=16, seconds=300, predictions=9000, errors=0, alone_p50=6.0, crowd_p50=80.0, crowd_p99=96.0
)


def test_a_crowd_keeps_its_limit_or_not() -> None:
    assert FIGURES.ratio == 16
    assert FIGURES.kept
    assert not replace(FIGURES, crowd_p99=97.0).kept
    assert not replace(FIGURES, errors=1).kept
    assert "| 16 | 300 | 9000 | 0 | 6.00 | 80.00 | 96.00 | 16.0 | ≤ 16 |" in clients.as_markdown(FIGURES)


def test_growth_is_what_stays_not_what_the_allocator_holds_for_a_moment() -> None:
    swinging = [200_000_000, 214_000_000]
    steady = memory.as_figures(5000, [swinging] * 10)
    assert (steady["rss_mb"], steady["growth"]) == (214.0, 0)
    grown = memory.as_figures(5000, [swinging] * 9 + [[each * 103 // 100 for each in swinging]])
    assert grown["growth"] == 0.03


def test_captures_have_ids_of_their_own_and_some_repeat_an_earlier_one() -> None:
    ids = CaptureIds(7)
    captures = [ids.given(edge.CaptureDataRequest(model_name="m", capture_id="c")).capture_id for _ in range(500)]
    assert 1 - len(set(captures)) / 500 > REPEATED_SHARE / 2
    assert len(set(captures)) > 300
    asked = {ids.given(edge.GetCaptureDataStatusRequest(capture_id="c")).capture_id for _ in range(200)}
    assert asked <= {f"c{number}" for number in range(501)}
    assert len(asked) > 100
    other = edge.ListModelsRequest()
    assert ids.given(other) is other
