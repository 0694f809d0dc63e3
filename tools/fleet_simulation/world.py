"""The process that is the cloud and the fleet, seen from here."""

import http.client
import itertools
import json
import subprocess
import sys
import urllib.parse
from datetime import datetime
from types import TracebackType
from typing import Any

import boto3
from linewatch_common.errors import UnavailableError

from tools.fleet_simulation import setting
from tools.report import ROOT

REGION = "eu-central-1"
BUCKET = "linewatch-fleet"
# The fake lists ten thousand devices and writes their reports for an hour in one command at most.
_COMMAND_SECONDS = 600.0
_BEFORE_HOURS = 6
_WARM_MINUTES = 8


class World:
    """Addresses of a running world, and its commands."""

    def __init__(self, greengrass: str, s3: str) -> None:
        self.greengrass = greengrass
        self.s3 = s3

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 needs to reach it."""
        return {
            "AWS_ENDPOINT_URL_GREENGRASSV2": self.greengrass,
            "AWS_ENDPOINT_URL_IOT": self.greengrass,
            "AWS_ENDPOINT_URL_S3": self.s3,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "fleet",
            "AWS_SECRET_ACCESS_KEY": "fleet",
        }

    def tell(self, do: str, **values: Any) -> dict[str, Any]:
        """A command to the fake of Greengrass."""
        return _post(f"{self.greengrass}/_fake", {"do": do, **values})

    def let_pass(self, seconds: float) -> datetime:
        """Devices work and report for so long; the time then."""
        return datetime.fromisoformat(_post(f"{self.s3}/_control", {"do": "pass", "seconds": seconds})["now"])

    def skip(self, seconds: float) -> None:
        """The same without reports."""
        _post(f"{self.s3}/_control", {"do": "skip", "seconds": seconds})

    def calls(self) -> dict[str, int]:
        """Calls by operation since the start, refused ones too."""
        return _post(f"{self.s3}/_control", {"do": "calls"})

    def cpu_seconds(self) -> float:
        """Of the world itself."""
        return float(_post(f"{self.s3}/_control", {"do": "usage"})["cpu_seconds"])

    def populate(self, devices: int) -> None:
        """The rings' devices, with the version before deployed to each, and reports of some minutes."""
        self.tell("components", versions=[[setting.INSPECTOR, setting.BEFORE]])
        self.tell(
            "components", versions=[[setting.MODEL, each] for each in (setting.BEFORE, setting.GOOD, setting.BAD)]
        )
        for ring, size in setting.ring_sizes(devices).items():
            self._ring(ring, size)
        greengrass, iot = self._client("greengrassv2"), self._client("iot")
        for ring in setting.ring_sizes(devices):
            target = iot.describe_thing_group(thingGroupName=setting.group(ring))["thingGroupArn"]
            components: dict[str, Any] = {
                name: {"componentVersion": setting.BEFORE} for name in (setting.INSPECTOR, setting.MODEL)
            }
            greengrass.create_deployment(targetArn=target, deploymentName="by hand", components=components)
        self.skip(_BEFORE_HOURS * 3600)
        self.let_pass(_WARM_MINUTES * 60)
        for quota in setting.QUOTAS:
            if quota.operation not in setting.S3_OPERATIONS:
                self.tell("limit", operation=quota.operation, rate=quota.rate, burst=max(1.0, quota.rate))

    def _ring(self, ring: str, size: int) -> None:
        first = 0
        for kind, run in itertools.groupby(setting.kinds(ring, size)):
            count = len(list(run))
            version = setting.BAD if kind == "broken" else setting.GOOD
            rules = [[kind, setting.MODEL, version]] if kind else []
            self.tell(
                "devices", group=setting.group(ring), prefix=f"{ring}-", first=first, count=count, base={}, rules=rules
            )
            first += count

    def _client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "fleet", "aws_secret_access_key": "fleet"}
        return boto3.client(service, endpoint_url=self.greengrass, region_name=REGION, **keys)


class RunningWorld:
    """A world in a process of its own, while the `with` block lasts."""

    def __enter__(self) -> World:
        command = [sys.executable, "-m", "tests.fakes.fleet_world"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        if self._process.stdout is None:
            raise UnavailableError("the world has no standard output")
        return World(**json.loads(self._process.stdout.readline()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.stdout.close()
        self._process.wait(30)  # it ends with its standard input


def _post(address: str, command: dict[str, Any]) -> dict[str, Any]:
    url = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(url.netloc, timeout=_COMMAND_SECONDS)
    try:
        connection.request("POST", url.path, json.dumps(command), {"Content-Type": "application/json"})
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
