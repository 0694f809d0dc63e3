"""What the service remembers."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore import xform_name

from tests.fakes.greengrassv2.fleet import Device, Quality
from tests.fakes.greengrassv2.names import component_arn
from tests.fakes.greengrassv2.wire import RefusedError


class SimulatedClock:
    """A clock that stands until it is advanced. It begins in the past, so that a real store's times never lie behind it."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or (datetime.now(UTC) - timedelta(days=2)).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(slots=True)
class ComponentVersion:
    """One component version; `errors` non-empty: it becomes FAILED."""

    arn: str
    recipe: dict[str, Any]
    created: datetime
    tags: dict[str, str]
    errors: dict[str, str]
    ready_at: datetime


@dataclass(slots=True)
class Deployment:
    """One deployment revision; `stopped`: when its job ended for those that had not begun."""

    identifier: str
    request: dict[str, Any]
    revision: int
    created: datetime
    devices: list[str]
    stopped: datetime | None = None
    canceled: bool = False


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` calls a second, at most `burst` at once."""

    rate: float
    burst: float
    tokens: float
    at: float = field(default_factory=time.monotonic)
    clock: Callable[[], float] = time.monotonic

    def take(self) -> bool:
        now = self.clock()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class State:
    """`artifact` gives an artefact's bytes by its URI, None when it is not there; without it every artefact is there, and empty."""

    def __init__(
        self,
        clock: Callable[[], datetime] | None = None,
        artifact: Callable[[str], bytes | None] | None = None,
        ready_seconds: float = 5.0,
    ) -> None:
        self.clock = clock or SimulatedClock()
        self.calls: deque[tuple[str, dict[str, Any]]] = deque(maxlen=100_000)
        self.counts: Counter[str] = Counter()
        self.devices: dict[str, Device] = {}
        self.groups: dict[str, list[str]] = {}
        self.qualities: dict[tuple[str, str], Quality] = {}
        self.deployments: dict[str, Deployment] = {}
        self.expired = False
        self.on_call: Callable[[str], None] = lambda _: None
        self.artifact = artifact
        self.ready_after = timedelta(seconds=ready_seconds)
        self.components: dict[str, ComponentVersion] = {}
        self._tokens: dict[str, tuple[str, dict[str, Any]]] = {}
        self._throttled: Counter[str] = Counter()
        self._buckets: dict[str, Bucket] = {}
        self.stops: dict[str, datetime] = {}
        self.undeployable: set[tuple[str, str]] = set()
        self._lock = threading.RLock()

    # What a test arranges.

    def add_device(self, device: Device, group: str) -> Device:
        """A core device in a thing group, which is made when it is new."""
        with self._lock:
            device.stops = self.stops
            self.devices[device.thing] = device
            self.groups.setdefault(group, []).append(device.thing)
            return device

    def add_component(self, name: str, version: str) -> str:
        """A component version that is there already."""
        with self._lock:
            arn = component_arn(name, version)
            recipe = {"ComponentName": name, "ComponentVersion": version, "Manifests": []}
            past = self.clock() - timedelta(days=30)
            self.components[arn] = ComponentVersion(arn, recipe, past, {}, {}, past)
            return arn

    def throttle(self, operation: str, times: int) -> None:
        """Refuse the next calls of an operation ("*": of any)."""
        with self._lock:
            self._throttled[operation] += times

    def unthrottle(self) -> None:
        """Refuse nothing any more."""
        with self._lock:
            self._throttled.clear()
            self._buckets.clear()

    def limit(self, operation: str, rate: float, burst: float) -> None:
        """Refuse calls over a rate, as a published quota says."""
        with self._lock:
            self._buckets[operation] = Bucket(rate, burst, burst)

    def break_component(self, name: str, version: str) -> None:
        """The next such component version will not become DEPLOYABLE."""
        self.undeployable.add((name, version))

    # The way in.

    def call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """One operation with checked parameters. Raises RefusedError."""
        self.on_call(operation)
        with self._lock:
            self.counts[operation] += 1
            if self.expired:
                raise RefusedError(
                    "ExpiredTokenException", "The security token included in the request is expired", 403
                )
            self._check_rate(operation)
            self.calls.append((operation, parameters))
            handler = getattr(self, xform_name(operation), None)
            if handler is None:
                raise RefusedError("InternalServerException", f"{operation} is not simulated")
            answer: dict[str, Any] = handler(parameters)
            return answer

    def _check_rate(self, operation: str) -> None:
        for name in (operation, "*"):
            if self._throttled[name] > 0:
                self._throttled[name] -= 1
                raise RefusedError("ThrottlingException", "Rate exceeded", retryAfterSeconds=1)
        bucket = self._buckets.get(operation)
        if bucket is not None and not bucket.take():
            raise RefusedError("ThrottlingException", "Rate exceeded", quotaCode="L-FAKE", serviceCode="greengrass")

    # The same token again gives the same answer.

    def again(self, operation: str, p: dict[str, Any]) -> dict[str, Any] | None:
        known = self._tokens.get(f"{operation}/{p.get('clientToken', '')}")
        if known is None or "clientToken" not in p:
            return None
        if known[0] != repr(sorted(p.items())):
            raise RefusedError(
                "ConflictException",
                "the client token was used with other parameters",
                resourceId="",
                resourceType="TOKEN",
            )
        return known[1]

    def remember(self, operation: str, p: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if "clientToken" in p:
            self._tokens[f"{operation}/{p['clientToken']}"] = (repr(sorted(p.items())), answer)
        return answer
