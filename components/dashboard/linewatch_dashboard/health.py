"""The health strip: from the components' heartbeats and their age."""

from dataclasses import dataclass

from linewatch_common.messages import Heartbeat
from linewatch_common.messages.status import HEARTBEAT_LOST_SECONDS, ComponentState
from linewatch_common.names import AGENT, CAMERA, INSPECTOR

from linewatch_dashboard.view import Health

MODEL_PREFIX = "com.linewatch.model."

_TITLES = {CAMERA: "Camera", AGENT: "Agent", INSPECTOR: "Inspector"}
_KEYS = {CAMERA: "camera", AGENT: "agent", INSPECTOR: "inspector"}
# The worst first: one light stands for all model components.
_BADNESS = ["silent", "stopping", "degraded", "starting", "ready"]
MAX_COMPONENTS = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """A heartbeat and when it came, in monotonic seconds."""

    beat: Heartbeat
    at: float

    def lost(self, now: float) -> bool:
        return now - self.at > HEARTBEAT_LOST_SECONDS


class Heartbeats:
    """The last heartbeat of each component; pure."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}

    def add(self, beat: Heartbeat, now: float) -> None:
        """A bounded number of components is kept: names come from the bus."""
        if beat.component in self._heard or len(self._heard) < MAX_COMPONENTS:
            self._heard[beat.component] = Heard(beat, now)

    def latest(self, component: str) -> Heard | None:
        """The component's last heartbeat, however old."""
        return self._heard.get(component)

    def strip(self, now: float) -> list[Health]:
        """Camera, agent, inspector and one light for all models."""
        lights = [self._light(component, now) for component in _TITLES]
        return [*lights, self._models_light(now)]

    def _light(self, component: str, now: float) -> Health:
        heard = self._heard.get(component)
        if heard is None:
            return Health(key=_KEYS[component], title=_TITLES[component], state="absent")
        return Health(
            key=_KEYS[component],
            title=_TITLES[component],
            state=_state(heard, now),
            reason=heard.beat.reason,
            version=heard.beat.version,
            age_ms=_age_ms(heard, now),
        )

    def _models_light(self, now: float) -> Health:
        heard = [item for name, item in self._heard.items() if name.startswith(MODEL_PREFIX)]
        if not heard:
            return Health(key="models", title="Models", state="absent")
        worst = min(heard, key=lambda item: (_BADNESS.index(_state(item, now)), item.at))
        reason = worst.beat.reason
        if len(heard) > 1 and _state(worst, now) != "ready":
            reason = f"{worst.beat.component.removeprefix(MODEL_PREFIX)} {reason}".strip()
        return Health(key="models", title="Models", state=_state(worst, now), reason=reason, age_ms=_age_ms(worst, now))


def _state(heard: Heard, now: float) -> str:
    return "silent" if heard.lost(now) and heard.beat.state is not ComponentState.STOPPING else str(heard.beat.state)


def _age_ms(heard: Heard, now: float) -> float:
    return max(0.0, now - heard.at) * 1000
