"""Which alerts are on: publishes each beginning and each end once, and remembers over a restart what it has raised."""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from linewatch_common.clock import utc_now
from linewatch_common.errors import LinewatchError, StorageError
from linewatch_common.files import write_atomically
from linewatch_common.logs import Trouble
from linewatch_common.messages import Alert
from linewatch_common.messages.alerts import ActiveAlert, AlertKind, AlertState

from linewatch_inspector.alerts.rules import Condition

log = logging.getLogger(__name__)

Publish = Callable[[Alert], None]


class Board:
    """`publish` raises LinewatchError when the bus is away or refuses: the change is then tried again at the next `update`."""

    def __init__(self, station: str, path: Path, publish: Publish) -> None:
        self._station = station
        self._path = path
        self._publish = publish
        self._raised: dict[AlertKind, ActiveAlert] = {}
        self._inherited: set[AlertKind] = set()
        self._untold = Trouble(log, "alerts are not told")

    @property
    def raised(self) -> list[ActiveAlert]:
        """The alerts that are on."""
        return list(self._raised.values())

    def load(self) -> None:
        """Go on with the alerts that an earlier process has raised: those whose condition is over are then cleared for their readers."""
        try:
            self._raised = msgspec.json.decode(self._path.read_bytes(), type=dict[AlertKind, ActiveAlert])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s: alerts of the last run are forgotten: %s", self._path, error)
        self._inherited = set(self._raised)

    def update(self, kind: AlertKind, condition: Condition | None, *, settled: bool = True) -> None:
        """What a rule says now. Before the process has `settled`, it does not clear what an earlier one has raised."""
        before = self._raised.get(kind)
        if condition is None and not settled and kind in self._inherited:
            return
        if condition is not None and before is None:
            self._raise(kind, condition)
        elif condition is None and before is not None:
            self._clear(kind, before)

    def _raise(self, kind: AlertKind, condition: Condition) -> None:
        now = utc_now()
        raised = ActiveAlert(kind=kind, since=now, detail=condition.detail[:300], count=condition.count)
        if self._tell(self._alert(kind, AlertState.RAISED, raised, now)):
            log.warning("alert %s: %s", kind, condition.detail)
            self._raised[kind] = raised
            self._save()

    def _clear(self, kind: AlertKind, before: ActiveAlert) -> None:
        if self._tell(self._alert(kind, AlertState.CLEARED, before, utc_now())):
            log.info("alert %s is over", kind)
            del self._raised[kind]
            self._inherited.discard(kind)
            self._save()

    def _alert(self, kind: AlertKind, state: AlertState, raised: ActiveAlert, at: str) -> Alert:
        return Alert(
            station=self._station,
            kind=kind,
            state=state,
            detail=raised.detail,
            since=raised.since,
            at=at,
            count=raised.count,
        )

    def _tell(self, alert: Alert) -> bool:
        try:
            self._publish(alert)
        except LinewatchError as error:
            self._untold.met(error)
            return False
        self._untold.over()
        return True

    def _save(self) -> None:
        try:
            write_atomically(self._path, msgspec.json.encode(self._raised))
        except StorageError as error:
            log.warning("%s", error)
