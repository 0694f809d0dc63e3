from linewatch_common.messages.status import HEARTBEAT_LOST_SECONDS, ComponentState
from linewatch_dashboard.health import MAX_COMPONENTS, Heartbeats

from tests.unit.dashboard.messages import beat


def states(beats: Heartbeats, now: float) -> dict[str, str]:
    return {light.key: light.state for light in beats.strip(now)}


def test_a_component_that_beats_shows_its_state_and_age() -> None:
    beats = Heartbeats()
    beats.add(beat("Camera", ComponentState.DEGRADED, reason="no cable"), 100.0)
    camera = beats.strip(101.5)[0]
    assert (camera.key, camera.state, camera.reason, camera.age_ms) == ("camera", "degraded", "no cable", 1500.0)


def test_a_component_that_stopped_beating_is_silent() -> None:
    beats = Heartbeats()
    beats.add(beat("Camera"), 100.0)
    assert states(beats, 100.0 + HEARTBEAT_LOST_SECONDS)["camera"] == "ready"
    assert states(beats, 100.1 + HEARTBEAT_LOST_SECONDS)["camera"] == "silent"


def test_a_component_that_said_goodbye_stays_stopped() -> None:
    beats = Heartbeats()
    beats.add(beat("Camera", ComponentState.STOPPING), 100.0)
    assert states(beats, 500.0)["camera"] == "stopping"


def test_one_light_stands_for_all_models_and_shows_the_worst() -> None:
    beats = Heartbeats()
    assert states(beats, 100.0)["models"] == "absent"
    beats.add(beat("model.SurfaceClassifier"), 100.0)
    assert states(beats, 100.0)["models"] == "ready"
    beats.add(beat("model.SurfaceSegmenter", ComponentState.DEGRADED, reason="refused"), 100.0)
    light = beats.strip(100.0)[3]
    assert (light.state, light.reason) == ("degraded", "SurfaceSegmenter refused")
    beats.add(beat("model.SurfaceSegmenter"), 104.0)
    assert states(beats, 107.0)["models"] == "silent"


def test_names_from_the_bus_are_bounded() -> None:
    beats = Heartbeats()
    for number in range(MAX_COMPONENTS + 5):
        beats.add(beat(f"model.M{number}"), 100.0)
    assert beats.latest(f"com.linewatch.model.M{MAX_COMPONENTS}") is None
    beats.add(beat("model.M0"), 101.0)
    known = beats.latest("com.linewatch.model.M0")
    assert known is not None
    assert known.at == 101.0
