"""The inspection thread: takes frames one after the other, judges them, announces their end."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from linewatch_common.errors import UnavailableError
from linewatch_common.messages import Outcome
from linewatch_common.ring import RingReader

from linewatch_inspector.announcer import Announcer
from linewatch_inspector.ended import Ended, Ending, ended
from linewatch_inspector.frames import Frame
from linewatch_inspector.inbox import Inbox
from linewatch_inspector.intake import Intake, RingState
from linewatch_inspector.judge import Judge, StoppedError
from linewatch_inspector.rings import ring_state

log = logging.getLogger(__name__)

# A frame whose message did not come is found after one to two of these; a message normally takes a millisecond or two.
RECONCILE_SECONDS = 0.25
# A verdict that waits for the bus, or a plan that changed, is looked after so often when no frame comes.
IDLE_SECONDS = 0.05
# Frames that nobody can judge are announced between two that can be, so that a long list of them does not hold up the line.
LOST_AT_ONCE = 4


class Inspection:
    """Owns the ring reader, the intake and the judge; nothing else touches them."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        intake: Intake,
        ring: RingReader,
        judge: Judge,
        announcer: Announcer,
        stopping: threading.Event,
        adopt: Callable[[], object],
    ) -> None:
        self._inbox = inbox
        self._intake = intake
        self._ring = ring
        self._judge = judge
        self._announcer = announcer
        self._stopping = stopping
        self._adopt = adopt
        self._reconciled = float("-inf")
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)
        self.judged = (0, 0)
        """Epoch and sequence of the newest frame that has ended."""
        self.last_frame = float("-inf")
        self.internal_errors = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """End after the frame in hand, within `seconds`; what waits is found again by the next start."""
        self._stopping.set()
        self._inbox.wake()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._round()
            except StoppedError:
                break
            except Exception:  # a thread's top: the next frame must be judged
                self.internal_errors += 1
                log.exception("inspection: an internal error")
                self._stopping.wait(IDLE_SECONDS)  # it may come again at once
        self._announcer.flush()
        self._ring.close()

    def _round(self) -> None:
        """One frame at most."""
        idle = self._intake.waiting == 0
        self._take_in(self._inbox.take(IDLE_SECONDS if idle else 0.0))
        self._reconcile()
        self._announcer.flush()
        self._adopt()
        self._announce_lost()
        frame = self._intake.take()
        if frame is not None:
            self._announce(frame, self._inspected(frame))

    def _take_in(self, announced: Sequence[Frame]) -> None:
        """Camera writes a frame before it announces it, so what the ring does not hold by now is no frame."""
        state = self._ring_state() if announced else None
        for frame in announced:
            self._intake.announce(frame, state)

    def _ring_state(self) -> RingState | None:
        try:
            return ring_state(self._ring)
        except UnavailableError:
            return None  # no ring: the camera makes it

    def _reconcile(self) -> None:
        now = time.monotonic()
        if now - self._reconciled < RECONCILE_SECONDS and not self._intake.has_gap():
            return
        state = self._ring_state()
        if state is None:
            self._reconciled = now
            return
        if now - self._reconciled >= RECONCILE_SECONDS:
            self._reconciled = now
            self._intake.reconcile(state)
        else:
            self._intake.close_gap(state)

    def _announce_lost(self) -> None:
        for _ in range(LOST_AT_ONCE):
            frame = self._intake.take_lost()
            if frame is None:
                return
            self._announce(frame, self._inspected(frame))

    def _inspected(self, frame: Frame) -> Ended:
        try:
            return self._judge.inspect(frame)
        except StoppedError:
            raise
        except Exception as error:  # every frame must end, whatever is wrong with us
            self.internal_errors += 1
            log.exception("frame %s: an internal error", frame.frame_id)
            return ended(frame, Ending(outcome=Outcome.ERROR, reason=f"internal error: {type(error).__name__}"))

    def _announce(self, frame: Frame, item: Ended) -> None:
        self._announcer.announce(item)
        self.last_frame = time.monotonic()
        self.judged = max(self.judged, (frame.epoch, frame.sequence))
