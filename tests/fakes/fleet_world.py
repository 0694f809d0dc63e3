"""A whole fleet as a process of its own: Greengrass and IoT at quotas, S3 with the delivery stream's objects, and one simulated clock.

`python -m tests.fakes.fleet_world` prints {"greengrass", "s3"} (addresses) as one JSON line and ends with the standard input. Commands to
the fake of Greengrass go to its `/_fake`; {"do": "pass", "seconds"} to the S3 server's `/_control` lets time pass, minute by minute, and
devices report meanwhile; {"do": "calls"} gives the calls by operation; {"do": "usage"} this process's own CPU seconds.
"""

import json
import sys
import time
from datetime import datetime, timedelta
from typing import Any

from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.reports import stream_line
from tests.fakes.greengrassv2.server import serving
from tests.fakes.greengrassv2.state import Bucket, SimulatedClock
from tests.fakes.objects import Objects, serving_objects

BUCKET = "linewatch-fleet"
PREFIX = "health/"
STREAM = "linewatch-health-1"
REPORT = timedelta(minutes=1)
KEPT = timedelta(minutes=45)


class QuotaBackend(Backend):
    """Quotas in simulated time, in which calls take none: what a client asks at one moment is one burst. Stricter than a real link."""

    def limit(self, operation: str, rate: float, burst: float) -> None:
        """See State."""
        self._buckets[operation] = Bucket(rate, burst, burst, at=self._seconds(), clock=self._seconds)

    def _seconds(self) -> float:
        return self.clock().timestamp()


class World:
    """The fleet and what it leaves in S3. A report is made each minute and delivered one minute later, as the stream holds it back."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.backend = QuotaBackend(self.clock)
        self.objects = Objects(self.clock)
        self._sent: dict[str, datetime] = {}
        self._held: bytes = b""
        self._next = self.clock() + REPORT

    def control(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do it. Raises KeyError for an unknown command."""
        return {"pass": self._pass, "skip": self._skip, "calls": self._calls, "usage": self._usage}[command["do"]](
            command
        )

    def _pass(self, command: dict[str, Any]) -> dict[str, Any]:
        until = self.clock() + timedelta(seconds=command["seconds"])
        while self._next <= until:
            self.clock.advance((self._next - self.clock()).total_seconds())
            self._deliver(self.clock())
            self._next += REPORT
        self.clock.advance((until - self.clock()).total_seconds())
        return {"now": self.clock().isoformat()}

    def _skip(self, command: dict[str, Any]) -> dict[str, Any]:
        """Time that nobody looks at: nothing is delivered."""
        self.clock.advance(command["seconds"])
        self._next += timedelta(seconds=command["seconds"])
        return {"now": self.clock().isoformat()}

    def _deliver(self, now: datetime) -> None:
        if self._held:
            self.objects.put(f"{BUCKET}/{PREFIX}{now:%Y/%m/%d/%H}/{STREAM}-{now:%Y-%m-%d-%H-%M-%S}", self._held)
            self.objects.forget(f"{BUCKET}/{PREFIX}", now - KEPT)
        lines = []
        for thing, device in self.backend.devices.items():
            made = device.last_report(now)
            if self._sent.get(thing) != made:
                self._sent[thing] = made
                _, data = device.report(now, self.backend.qualities)
                lines.append(stream_line(thing, data))
        self._held = b"".join(lines)

    def _calls(self, _: dict[str, Any]) -> dict[str, Any]:
        return dict(self.backend.counts) | dict(self.objects.counts)

    def _usage(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"cpu_seconds": round(time.process_time(), 2)}


def main() -> None:
    """Run until the standard input closes, so that it never outlives who started it."""
    world = World()
    with serving(world.backend) as greengrass, serving_objects(world.objects, world.control) as s3:
        print(json.dumps({"greengrass": greengrass.url, "s3": s3.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
