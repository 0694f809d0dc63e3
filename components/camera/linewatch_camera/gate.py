"""When pictures of a file may be taken: while somebody judges them."""

from linewatch_common.heartbeats import HeartbeatWatch
from linewatch_common.messages.status import ComponentState

INSPECTOR = "com.linewatch.Inspector"


class InspectorGate:
    """A file can wait, so it does while Inspector is away or not ready; a live source cannot, and never does."""

    def __init__(self, watch: HeartbeatWatch, *, live: bool) -> None:
        self._watch = watch
        self._live = live

    def hindrance(self) -> str:
        """Why pictures should wait, or nothing."""
        if self._live:
            return ""
        beat = self._watch.latest(INSPECTOR)
        if beat is None or beat.state is ComponentState.STOPPING:
            return "waiting for Inspector: it is not running"
        if beat.inspector is None or not beat.inspector.ready:
            return "waiting for Inspector: it is not ready" + (f" ({beat.reason})" if beat.reason else "")
        return ""
