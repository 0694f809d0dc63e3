"""Counts devices that report and devices that are silent, for the dashboard and its alarm, and keeps when each was heard last.

A device that left the fleet is no silent one: of those that fell silent last, IoT is asked whether they still exist.
"""

import json
from datetime import timedelta
from typing import Any

import msgspec

from model_build.fleet.configuration import decode, moment_of
from model_build.fleet.errors import FleetInputError
from model_build.infrastructure.services import Services

SILENT_AFTER = timedelta(minutes=10)
# A device that was switched off for good is no alarm for ever.
FORGOTTEN_AFTER = timedelta(days=1)
HEARD_KEY = "heard.json"
# A device that was removed is among those that fell silent last; when a whole plant is cut off, not all of it is asked for each time.
ASKED = 50


def watch(services: Services) -> dict[str, int]:
    """{"DevicesReporting", "DevicesSilent"}. Raises FleetError's children."""
    now = services.clock()
    heard = _known(services) | {thing: listed.received for thing, listed in services.reports.listing().items()}
    heard = {thing: received for thing, received in heard.items() if now - moment_of(received) <= FORGOTTEN_AFTER}
    silent = [thing for thing, received in heard.items() if now - moment_of(received) > SILENT_AFTER]
    latest = sorted(silent, key=lambda thing: heard[thing], reverse=True)[:ASKED]
    gone = {thing for thing in latest if not _exists(services, thing)}
    heard = {thing: received for thing, received in heard.items() if thing not in gone}
    services.heard.write(HEARD_KEY, msgspec.json.encode(heard))
    left = len(silent) - len(gone)
    return {"DevicesReporting": len(heard) - left, "DevicesSilent": left}


def _exists(services: Services, thing: str) -> bool:
    """A thing's name that IoT would not take is none either: what reports say of names is checked by the rule, not by us."""
    try:
        services.call(services.client("iot"), "describe_thing", thingName=thing)
    except FleetInputError:
        return False
    return True


def _known(services: Services) -> dict[str, str]:
    """Thing to when it was heard last (UTC text), by the last look."""
    found = services.heard.read(HEARD_KEY)
    return {} if found is None else decode(found[0], dict[str, str], HEARD_KEY)


def metric_line(fleet: str, figures: dict[str, int], now_ms: int) -> str:
    """CloudWatch's embedded metric format: a line in the log becomes the figures, without a call."""
    about: dict[str, Any] = {
        "Timestamp": now_ms,
        "CloudWatchMetrics": [
            {
                "Namespace": "linewatch",
                "Dimensions": [["Fleet"]],
                "Metrics": [{"Name": name, "Unit": "Count"} for name in figures],
            }
        ],
    }
    return json.dumps({"_aws": about, "Fleet": fleet, **figures})
