"""What the functions work with. Everything is handed in; nothing is called before a method is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from model_build.fleet.book import Book
from model_build.fleet.calls import Caller
from model_build.fleet.cloud import Cloud
from model_build.fleet.core import FleetCore
from model_build.fleet.health import HealthReports
from model_build.fleet.health_stream import StreamReports
from model_build.fleet.s3_store import S3Store

# A function ends after 300 s, and the state machine tries again by itself.
PATIENCE_SECONDS = 60.0
HEALTH_PREFIX = "health/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`client` gives a boto3 client by service. `topic` and `state_machine` are ARNs, empty where a function has none.

    `prefix` begins the account's names. A drift alert starts a training pipeline on `training_data` (empty: the pipeline's own default),
    at most once in `cool_down_days`. `neo_architecture`: what Neo compiles approved models for before they are built; empty: nothing.
    """

    client: Callable[[str], Any]
    fleet: str
    fleet_bucket: str
    component_bucket: str
    clock: Callable[[], datetime]
    sleep: Callable[[float], None]
    topic: str = ""
    state_machine: str = ""
    prefix: str = "linewatch"
    training_data: str = ""
    cool_down_days: float = 30
    neo_architecture: str = ""

    @property
    def call(self) -> Caller:
        """Patient calls."""
        return Caller(self.sleep, PATIENCE_SECONDS)

    @property
    def releases(self) -> S3Store:
        """Where the records of releases lie."""
        return S3Store(self.client("s3"), self.fleet_bucket, "releases", self.call)

    @property
    def reports(self) -> HealthReports:
        """What devices reported, as the template's delivery stream leaves it."""
        return StreamReports(self.client("s3"), self.fleet_bucket, HEALTH_PREFIX, self.call, self.clock)

    @property
    def heard(self) -> S3Store:
        """Where `watch` keeps when each device was heard last."""
        return S3Store(self.client("s3"), self.fleet_bucket, HEALTH_PREFIX, self.call)

    @property
    def drift(self) -> S3Store:
        """What is kept of the models' lives, and of trainings that alerts started."""
        return S3Store(self.client("s3"), self.fleet_bucket, f"drift/{self.fleet}", self.call)

    @property
    def core(self) -> FleetCore:
        """The fleet's deployments."""
        call = self.call
        store = S3Store(self.client("s3"), self.fleet_bucket, f"fleets/{self.fleet}", call)
        cloud = Cloud(self.client("greengrassv2"), self.client("iot"), call)
        return FleetCore(cloud=cloud, book=Book(store), reports=self.reports, clock=self.clock, by="release")
