"""A plan: everything that can be checked before a device is touched."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from model_build.fleet.cloud import Cloud
from model_build.fleet.configuration import Fleet, Ring, Version, decode, moment_text
from model_build.fleet.errors import FleetInputError, RunningAlreadyError
from model_build.fleet.records import Plan, PlannedRing
from model_build.fleet.statistics import detectable_rate

DEPLOYABLE = "DEPLOYABLE"


def propose(
    cloud: Cloud, fleet: Fleet, release: Mapping[str, str], now: datetime, by: str = ""
) -> tuple[Plan, dict[str, list[str]]]:
    """A plan and its devices by ring; writes nothing. Raises FleetInputError, NotFoundError, RunningAlreadyError.

    The plan's name follows from configuration, release and what is deployed now: the same again is the same plan.
    """
    _check_release(release)
    rings: list[PlannedRing] = []
    devices: dict[str, list[str]] = {}
    for ring in fleet.rings:
        target = cloud.thing_group(ring.thing_group)
        devices[ring.name] = cloud.things(ring.thing_group)
        if not devices[ring.name]:
            raise FleetInputError(f"ring {ring.name}: thing group {ring.thing_group} has no devices")
        rings.append(_planned(cloud, ring, target, len(devices[ring.name])))
    _check_disjoint(devices)
    for name, version in sorted(release.items()):
        state = cloud.component_state(rings[0].target, name, version)
        if state != DEPLOYABLE:
            raise FleetInputError(
                f"{name} {version} is {state}, not {DEPLOYABLE}: publish it first, or look at its errors"
            )
    named = [fleet, dict(sorted(release.items())), [ring.previous for ring in rings]]
    identifier = hashlib.sha256(msgspec.json.encode(named)).hexdigest()[:16]
    made = Plan(plan=identifier, made=moment_text(now), fleet=fleet, release=dict(release), rings=rings, by=by)
    return made, devices


def _planned(cloud: Cloud, ring: Ring, target: str, devices: int) -> PlannedRing:
    standing = cloud.latest(target)
    if standing is not None and standing.job:
        busy = cloud.counts(standing.job).in_progress
        if busy:
            raise RunningAlreadyError(
                f"ring {ring.name}: deployment {standing.name or standing.deployment} is being installed on {busy} devices: "
                "wait until it has ended"
            )
    return PlannedRing(
        name=ring.name,
        target=target,
        devices=devices,
        previous=standing.deployment if standing else "",
        detectable=round(detectable_rate(devices), 4),
    )


def _check_release(release: Mapping[str, str]) -> None:
    if not release:
        raise FleetInputError("nothing to deploy: name components as NAME=VERSION")
    for name, version in release.items():
        decode(msgspec.json.encode(version), Version, f"{name}={version}")


def _check_disjoint(devices: Mapping[str, Iterable[str]]) -> None:
    owner: dict[str, str] = {}
    for ring, things in devices.items():
        for thing in things:
            if thing in owner:
                raise FleetInputError(
                    f"{thing} is in rings {owner[thing]} and {ring}: each device belongs to exactly one"
                )
            owner[thing] = ring
