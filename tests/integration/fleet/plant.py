"""A plant for tests: the fake with a simulated fleet, clients, state and health in folders, and time that runs when somebody waits."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import msgspec
from botocore.config import Config

from model_build.fleet.book import Book
from model_build.fleet.calls import Caller
from model_build.fleet.cloud import Cloud
from model_build.fleet.configuration import Fleet, Gate, Ring
from model_build.fleet.core import FleetCore
from model_build.fleet.health import FolderReports
from model_build.fleet.run import Deployer
from model_build.fleet.store import FolderStore
from tests.fakes.greengrassv2.backend import Backend
from tests.fakes.greengrassv2.fleet import Device, Kind, Rule
from tests.fakes.greengrassv2.names import REGION
from tests.fakes.greengrassv2.reports import write_reports
from tests.fakes.greengrassv2.server import Server, serving
from tests.fakes.greengrassv2.state import SimulatedClock

INSPECTOR = "com.linewatch.Inspector"
MODEL = "com.linewatch.model.SurfaceInspector"
FOREIGN = "com.example.Gateway"
OLD = {INSPECTOR: "1.0.0", MODEL: "1.0.0", FOREIGN: "2.3.0"}
NEW = {MODEL: "1.1.0"}
KEYS = {"aws_access_key_id": "fleet", "aws_secret_access_key": "fleet"}
# Retries are ours; a test that breaks must not hang.
CLIENT = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, region_name=REGION)


class Plant:
    """Rings canary (4 devices), wave-1 (6), wave-2 (10), all with OLD deployed."""

    sizes: dict[str, int] = {"canary": 4, "wave-1": 6, "wave-2": 10}  # noqa: RUF012 - never changed

    def __init__(self, server: Server, folder: Path) -> None:
        self.backend: Backend = server.backend
        self.url = server.url
        self.folder = folder
        self.health = folder / "health"
        self.state = folder / "state"
        self.waits: list[str] = []
        self.caller = Caller(sleep=self.sleep, on_wait=self.waits.append)
        self.greengrass = self.client("greengrassv2")
        self.cloud = Cloud(self.greengrass, self.client("iot"), self.caller)
        self.fleet = Fleet(
            name="plant-a",
            rings=[Ring(name=name, thing_group=f"plant-a-{name}") for name in self.sizes],
            gate=Gate(watch_minutes=4, report_minutes=6, hold_minutes=12, minimum_parts=500, defect_rate_margin=0.03),
            install_minutes=6,
            configuration={MODEL: {"Threshold": 0.5}},
        )

    @property
    def clock(self) -> SimulatedClock:
        """The fake's."""
        assert isinstance(self.backend.clock, SimulatedClock)
        return self.backend.clock

    def client(self, service: str) -> Any:
        """A boto3 client of the fake."""
        return boto3.client(service, endpoint_url=self.url, config=CLIENT, **KEYS)

    def deployer(self, core: FleetCore, say: Callable[[str], None] = print) -> Deployer:
        """A whole deployment whose waiting lets the plant's time run."""
        watch = timedelta(minutes=2)
        return Deployer(core=core, sleep=self.sleep, say=say, progress=lambda _: None, rollback_watch=watch)

    def sleep(self, seconds: float) -> None:
        """Time goes on, and devices report meanwhile."""
        self.clock.advance(seconds)
        write_reports(self.backend, self.health)

    def populate(self) -> None:
        """Devices, component versions, what is deployed already: the foreign component with a configuration of its own."""
        for name, version in [*OLD.items(), *NEW.items(), (INSPECTOR, "1.1.0")]:
            self.backend.add_component(name, version)
        born = self.clock() - timedelta(hours=12)
        number = 0
        for ring, size in self.sizes.items():
            for _ in range(size):
                self.backend.add_device(Device(f"line-{number:03d}", born, {}), f"plant-a-{ring}")
                number += 1
        for ring in self.sizes:
            self.deploy_by_hand(
                ring, {FOREIGN: {"merge": '{"Port":502}'}, MODEL: {"merge": '{"Threshold":0.4,"Extra":1}'}}
            )
        self.sleep(6 * 3600)

    def deploy_by_hand(self, ring: str, updates: dict[str, Any], versions: dict[str, str] | None = None) -> str:
        """As somebody at the console does it."""
        components = {
            name: {"componentVersion": version} | ({"configurationUpdate": updates[name]} if name in updates else {})
            for name, version in (versions or OLD).items()
        }
        target = self.cloud.thing_group(f"plant-a-{ring}")
        return str(
            self.greengrass.create_deployment(targetArn=target, deploymentName="by hand", components=components)[
                "deploymentId"
            ]
        )

    def misbehave(self, ring: str, count: int, kind: Kind) -> list[str]:
        """The ring's first devices do this with the new model."""
        things = self.backend.groups[f"plant-a-{ring}"][:count]
        for thing in things:
            self.backend.devices[thing].rules.append(Rule(kind, MODEL, NEW[MODEL]))
        return things

    def core(self, by: str = "anna") -> FleetCore:
        """A new one each time, as a process would have it."""
        book = Book(FolderStore(self.state))
        return FleetCore(cloud=self.cloud, book=book, reports=FolderReports(self.health), clock=self.clock, by=by)

    def configure(self, **changes: Any) -> None:
        """Store the fleet's configuration, changed so."""
        self.fleet = msgspec.structs.replace(self.fleet, **changes)
        self.core().book.configure(msgspec.json.encode(self.fleet))

    def deployed(self, ring: str) -> dict[str, Any]:
        """The component map that stands in a ring, as the API gives it."""
        target = self.cloud.thing_group(f"plant-a-{ring}")
        found = self.greengrass.list_deployments(targetArn=target)["deployments"][0]
        components: dict[str, Any] = self.greengrass.get_deployment(deploymentId=found["deploymentId"])["components"]
        return components

    def versions(self, ring: str) -> dict[str, str]:
        """Component to version in a ring's map."""
        return {name: spec["componentVersion"] for name, spec in self.deployed(ring).items()}

    def until(self, step: Callable[[], dict[str, Any]], minutes: int = 60) -> dict[str, Any]:
        """Repeat a step while it asks to wait."""
        for _ in range(minutes * 2):
            answer = step()
            if not answer.get("wait_seconds"):
                return answer
            self.sleep(answer["wait_seconds"])
        raise AssertionError(f"still waiting after {minutes} minutes: {answer}")

    def ring(self, core: FleetCore, plan: str, ring: str, minutes: int = 300) -> dict[str, Any]:
        """Start, install and judge one ring."""
        core.start_ring(plan, ring)
        self.until(lambda: core.poll_ring(plan, ring))
        return self.until(lambda: core.judge_ring(plan, ring), minutes)


@contextlib.contextmanager
def plant(folder: Path) -> Iterator[Plant]:
    """One with its devices and its configuration."""
    with serving(Backend()) as server:
        made = Plant(server, folder)
        made.populate()
        made.configure()
        yield made
