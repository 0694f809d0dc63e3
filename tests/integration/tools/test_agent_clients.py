"""A short run of `python -m tools.agent_bench.clients`, with real processes."""

from tools.agent_bench.clients import measure


def test_clients_at_once_get_their_own_answers() -> None:
    figures, error = measure(2, 1.0)
    assert (figures.errors, error) == (0, "")
    assert figures.predictions >= 2
    assert 0 < figures.crowd_p50 <= figures.crowd_p99
    assert figures.alone_p50 > 0
