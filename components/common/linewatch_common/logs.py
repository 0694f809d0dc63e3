"""Log lines on stdout that read well in `greengrass-cli logs` and journalctl.

Both put their own time before a line, but not in UTC and not with milliseconds; ours goes first. One event, one line: line breaks in a
message or a traceback are folded, so that a reader filtering by component never sees half an event.
"""

import logging
import sys
import threading
import time

log = logging.getLogger(__name__)


class _OneLine(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\r", "\\r").replace("\n", " | ")


def set_up_logging(level: str = "INFO") -> None:
    """Send every record at `level` or above to stdout, one line each. Called once, by `__main__`.

    An unknown level is said and counts as INFO: a wrong word about the log must not stop a line.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_OneLine())
    known = logging.getLevelNamesMapping()
    logging.basicConfig(level=known.get(level.upper(), logging.INFO), handlers=[handler], force=True)
    if level.upper() not in known:
        log.warning(
            "LINEWATCH_LOG_LEVEL: %s is not one of %s: taken as INFO", capped(repr(level), 50), ", ".join(known)
        )
    # The client logs each link by its memory address; the bus says the same in words.
    logging.getLogger("awsiot").setLevel(logging.WARNING)
    # What the AWS client says at DEBUG holds its session tokens.
    logging.getLogger("botocore").setLevel(logging.INFO)
    # It tells each failed try with a traceback; whoever asked for credentials gets the error, and says it once for an outage.
    logging.getLogger("botocore.credentials").setLevel(logging.ERROR)


class Complaints:
    """Warnings about what may come any number of times, such as unreadable messages: a broken sender must not fill the log.

    All are counted; the 1st, 2nd, 4th, 8th… is logged, with their number. Safe for concurrent use.
    """

    def __init__(self, log: logging.Logger, about: str) -> None:
        self._log, self._about = log, about
        self._lock = threading.Lock()
        self.count = 0

    def note(self, problem: object) -> None:
        """One more."""
        with self._lock:
            self.count += 1
            count = self.count
        if count & (count - 1) == 0:
            self._log.warning("%s: %s (%d such so far)", self._about, problem, count)


class Trouble:
    """A warning about what lasts, such as a bus that is away: said when it begins and when its reason changes, not at each try.

    For one thread.
    """

    def __init__(self, log: logging.Logger, about: str) -> None:
        self._log, self._about = log, about
        self._said = ""

    def met(self, problem: object) -> None:
        """It holds, for this reason."""
        if str(problem) != self._said:
            self._log.warning("%s: %s", self._about, problem)
        self._said = str(problem)

    def over(self) -> bool:
        """It does not hold; whether it did."""
        did, self._said = bool(self._said), ""
        return did


def one_line(error: BaseException, length: int = 160) -> str:
    """What a library's error says, without its line breaks, cut at `length`."""
    return " ".join(str(error).split())[:length]


def capped(text: str, length: int = 200) -> str:
    """A peer's string, fit for a log line: control characters escaped, cut at `length`."""
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[: length + 1])
    return printable if len(text) <= length else printable[:length] + "…"
