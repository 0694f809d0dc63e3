"""How the Dashboard's parts are put together; only `__main__` and the tests call it."""

from concurrent.futures import ThreadPoolExecutor

from linewatch_common.service import Context

from linewatch_dashboard.app import Page, create_app
from linewatch_dashboard.archive import Archive
from linewatch_dashboard.component import Dashboard
from linewatch_dashboard.config import DashboardConfig
from linewatch_dashboard.guard import Rules
from linewatch_dashboard.inbox import Inbox
from linewatch_dashboard.labels import Labels
from linewatch_dashboard.line import Line
from linewatch_dashboard.live import Live
from linewatch_dashboard.server import WebServer
from linewatch_dashboard.timeline import Timeline
from linewatch_dashboard.viewers import Viewers


def compose(config: DashboardConfig, context: Context, archive: Archive) -> tuple[Dashboard, WebServer]:
    """The component and its server. Does no I/O."""
    pictures = ThreadPoolExecutor(1, "pictures")
    ledger = ThreadPoolExecutor(2, "ledger")
    commands = ThreadPoolExecutor(1, "commands")
    inbox, viewers = Inbox(), Viewers(config.max_viewers)
    labels = Labels(context.bus, context.topics, commands)
    live = Live(
        line=Line(config.station, config.stale_after_seconds),
        timeline=Timeline(),
        viewers=viewers,
        archive=archive,
        inbox=inbox,
        pictures_per_second=config.pictures_per_second,
        picture_worker=pictures,
        ledger_worker=ledger,
        on_result=labels.receive,
    )
    rules = Rules.of(config.host, config.allowed_hosts)
    server = WebServer(config.host, config.port, create_app(Page(live, labels), rules), live.run)
    dashboard = Dashboard(
        host=config.host,
        bus=context.bus,
        topics=context.topics,
        inbox=inbox,
        server=server,
        viewers=viewers,
        counters=live.counters,
        workers=[pictures, ledger, commands],
    )
    return dashboard, server
