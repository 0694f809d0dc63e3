"""The Dashboard as `run_service` drives it."""

import logging
from concurrent.futures import ThreadPoolExecutor

from linewatch_common.bus import LocalBus
from linewatch_common.heartbeats import Status
from linewatch_common.messages.status import ComponentState
from linewatch_common.topics import Topics

from linewatch_dashboard.config import is_loopback
from linewatch_dashboard.inbox import Inbox, Source
from linewatch_dashboard.live import FeedCounters
from linewatch_dashboard.server import WebServer
from linewatch_dashboard.viewers import Viewers

log = logging.getLogger(__name__)


class Dashboard:
    """Subscribes, serves, stops. Put together in `__main__`."""

    def __init__(
        self,
        *,
        host: str,
        bus: LocalBus,
        topics: Topics,
        inbox: Inbox,
        server: WebServer,
        viewers: Viewers,
        counters: FeedCounters,
        workers: list[ThreadPoolExecutor],
    ) -> None:
        self._host = host
        self._bus = bus
        self._topics = topics
        self._inbox = inbox
        self._server = server
        self._viewers = viewers
        self._counters = counters
        self._workers = workers

    def start(self) -> None:
        """Listen to the line and open the page. Raises BusUnavailableError, NotAuthorizedError."""
        if not is_loopback(self._host):
            log.warning("the page on %s has no login yet: whoever reaches this address sees the line", self._host)
        for topic, source in (
            (self._topics.verdicts, Source.VERDICTS),
            (self._topics.alerts, Source.ALERTS),
            (self._topics.status, Source.STATUS),
            (self._topics.models, Source.MODELS),
            (self._topics.command_results, Source.RESULTS),
        ):
            self._bus.subscribe(topic, self._inbox.handler(source))
        self._server.start()

    def stop(self) -> None:
        """Close the page; nothing here must be kept."""
        self._server.stop()
        for worker in self._workers:
            worker.shutdown(wait=False, cancel_futures=True)

    def status(self) -> Status:
        """Degraded while the page cannot be had."""
        trouble = self._server.trouble
        return Status(
            state=ComponentState.DEGRADED if trouble else ComponentState.READY,
            reason=trouble,
            counters={
                "viewers": len(self._viewers),
                "viewers_refused": self._viewers.refused,
                "pictures_shown": self._counters.pictures,
                "inspections_skipped": self._viewers.skipped,
                "verdicts": self._counters.verdicts,
                "bad_messages": self._counters.bad_messages,
                "messages_dropped": self._inbox.dropped,
                "troubles": self._counters.troubles,
            },
        )
