"""What the devices' health reports leave in a store: as the IoT rule writes them."""

import base64
import os
from collections.abc import Callable
from pathlib import Path

from tests.fakes.greengrassv2.backend import Backend


def stream_line(thing: str, data: bytes) -> bytes:
    """A report as the IoT rule hands it to the delivery stream, and as that writes it."""
    return b'{"report":"' + base64.b64encode(data) + b'","device":"' + thing.encode() + b'"}\n'


def send_reports(backend: Backend, put: Callable[[str, bytes], None]) -> int:
    """Hand every device's newest report to `put` (thing, bytes); how many."""
    now = backend.clock()
    for thing, device in backend.devices.items():
        put(thing, device.report(now, backend.qualities)[1])
    return len(backend.devices)


def write_reports(backend: Backend, folder: Path) -> int:
    """Write `<thing>.json` with the time at which the report was made; an unchanged one is left alone. How many were written."""
    folder.mkdir(parents=True, exist_ok=True)
    now = backend.clock()
    written = 0
    for thing, device in backend.devices.items():
        at, data = device.report(now, backend.qualities)
        path = folder / f"{thing}.json"
        if path.exists() and path.stat().st_mtime == at.timestamp():
            continue
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))
        written += 1
    return written
