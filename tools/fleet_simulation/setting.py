"""The simulated fleet: its rings, how its devices behave, and the quotas that the fakes hold the client to."""

import random
from dataclasses import dataclass

from model_build.fleet.configuration import Fleet, Gate, Ring

INSPECTOR = "com.linewatch.Inspector"
MODEL = "com.linewatch.model.SurfaceInspector"
BEFORE, GOOD, BAD = "1.0.0", "1.1.0", "1.2.0"
FLEET = "plant"
CANARY = 36  # shows a failure that hits 8 % of devices with 95 %
# Share of the devices behind the canary that takes a release so; the rest succeeds.
MIX = {"fail": 0.003, "silent": 0.004, "mute": 0.002, "flap": 0.003}
BROKEN_BY_BAD = 3  # canary devices on which the bad release's component breaks


@dataclass(frozen=True, slots=True)
class Quota:
    """Calls a second of one operation, and where that stands. `known` is False where no published figure was at hand."""

    operation: str
    rate: float
    source: str
    known: bool


_GREENGRASS = "https://docs.aws.amazon.com/general/latest/gr/greengrassv2.html"
_IOT = "https://docs.aws.amazon.com/general/latest/gr/iot-core.html"
_JOBS = "https://docs.aws.amazon.com/general/latest/gr/iot_device_management.html"
_S3 = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html"
QUOTAS_READ = "2026-11-22"
ASSUMED = 5.0  # where the page could not be read: below any rate that AWS publishes for a call that reads
QUOTAS = (
    Quota("CreateDeployment", 1.0, _GREENGRASS, known=False),
    Quota("ListDeployments", ASSUMED, _GREENGRASS, known=False),
    Quota("GetDeployment", ASSUMED, _GREENGRASS, known=False),
    Quota("ListCoreDevices", ASSUMED, _GREENGRASS, known=False),
    Quota("ListInstalledComponents", ASSUMED, _GREENGRASS, known=False),
    Quota("DescribeComponent", ASSUMED, _GREENGRASS, known=False),
    Quota("DescribeJob", ASSUMED, _JOBS, known=False),
    Quota("DescribeThingGroup", 100.0, _IOT, known=True),  # L-52E1E197
    Quota("ListThingsInThingGroup", 25.0, _IOT, known=True),  # L-D33FD5F9
    Quota("GetObject", 5500.0, _S3, known=True),
    Quota("ListObjectsV2", 5500.0, _S3, known=True),
    Quota("PutObject", 3500.0, _S3, known=True),
)
S3_OPERATIONS = frozenset({"GetObject", "ListObjectsV2", "PutObject"})


def ring_sizes(devices: int) -> dict[str, int]:
    """Devices by ring: the canary, 5 %, 25 %, and the rest. Raises ValueError for a fleet that is no larger than two canaries."""
    if devices <= 2 * CANARY:
        raise ValueError(f"{devices} devices: want more than {2 * CANARY}")
    first, second = max(1, devices // 20), devices // 4
    return {"canary": CANARY, "wave-1": first, "wave-2": second, "wave-3": devices - CANARY - first - second}


def group(ring: str) -> str:
    """The ring's thing group."""
    return f"{FLEET}-{ring}"


def fleet() -> Fleet:
    """A canary that tolerates nothing, waves that tolerate 2 % of their devices."""
    rings = [
        Ring(name=ring, thing_group=group(ring), gate=Gate(failed_devices=0.0 if ring == "canary" else 0.02))
        for ring in ("canary", "wave-1", "wave-2", "wave-3")
    ]
    return Fleet(name=FLEET, rings=rings, per_minute=1000, configuration={MODEL: {"Threshold": 0.5}})


def kinds(ring: str, size: int) -> list[str]:
    """How each device of a ring takes a release, "" for well: some of the canary break with the bad one, MIX is for the good one."""
    counts = {kind: round(share * size) for kind, share in MIX.items()}
    bad = (
        ["broken"] * BROKEN_BY_BAD
        if ring == "canary"
        else [kind for kind, count in counts.items() for _ in range(count)]
    )
    found = [""] * size
    places = random.Random(f"{ring} {size}").sample(range(size), len(bad))
    for place, kind in zip(places, bad, strict=True):
        found[place] = kind
    return found
