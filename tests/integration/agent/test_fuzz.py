"""A short run of `python -m tools.agent_fuzz`: the same requests each time."""

from tools.agent_fuzz.__main__ import MODELS, fuzz


def test_mutated_requests_harm_nothing() -> None:
    outcome = fuzz(3000, 20_261_122, MODELS / "SurfaceClassifier", MODELS / "SurfaceSegmenter")
    assert outcome.problems == []
    assert sum(outcome.answers.values()) == 3000
    codes = {code for _, code in outcome.answers}
    assert codes >= {"OK", "INTERNAL", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "ALREADY_EXISTS"}
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.after.files <= outcome.before.files + 2
