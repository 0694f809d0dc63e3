"""The whole service: components, deployments, core devices, thing groups."""

from typing import Any

from tests.fakes.greengrassv2.deployments import Deployments
from tests.fakes.greengrassv2.fleet import Device
from tests.fakes.greengrassv2.names import group_arn, missing, page
from tests.fakes.greengrassv2.wire import RefusedError


class Backend(Deployments):
    """Operations on core devices and thing groups."""

    def list_core_devices(self, p: dict[str, Any]) -> dict[str, Any]:
        things = sorted(self.devices) if "thingGroupArn" not in p else self._target(p["thingGroupArn"])
        rows = [
            row
            for thing in things
            if (row := self._core(self.devices[thing]))["status"] == p.get("status", row["status"])
        ]
        return page(p, "coreDevices", rows)

    def get_core_device(self, p: dict[str, Any]) -> dict[str, Any]:
        return self._core(self._device(p["coreDeviceThingName"])) | {"coreVersion": "2.15.0"}

    def list_installed_components(self, p: dict[str, Any]) -> dict[str, Any]:
        return page(p, "installedComponents", self._device(p["coreDeviceThingName"]).installed(self.clock()))

    def list_effective_deployments(self, p: dict[str, Any]) -> dict[str, Any]:
        device, now = self._device(p["coreDeviceThingName"]), self.clock()
        rows = []
        for each in device.executions:
            found = self.deployments[each.deployment]
            row = {
                "deploymentId": found.identifier,
                "deploymentName": found.request.get("deploymentName", ""),
                "iotJobId": found.identifier,
                "targetArn": found.request["targetArn"],
                "coreDeviceExecutionStatus": each.status(now, found.stopped),
                "creationTimestamp": found.created,
                "modifiedTimestamp": min(now, each.end or now),
            }
            rows.append(row)
        return page(p, "effectiveDeployments", rows)

    def _device(self, thing: str) -> Device:
        if thing not in self.devices:
            raise missing(thing, "CORE_DEVICE")
        return self.devices[thing]

    def _core(self, device: Device) -> dict[str, Any]:
        now = self.clock()
        return {
            "coreDeviceThingName": device.thing,
            "status": "HEALTHY" if device.healthy(now) else "UNHEALTHY",
            "lastStatusUpdateTimestamp": device.last_report(now),
            "platform": "linux",
            "architecture": "amd64",
            "runtime": device.runtime,
        }

    def describe_thing_group(self, p: dict[str, Any]) -> dict[str, Any]:
        name = p["thingGroupName"]
        if name not in self.groups:
            raise RefusedError("ResourceNotFoundException", f"Thing Group {name} does not exist", 404)
        return {"thingGroupName": name, "thingGroupArn": group_arn(name), "version": 1}

    def list_things_in_thing_group(self, p: dict[str, Any]) -> dict[str, Any]:
        name = p["thingGroupName"]
        if name not in self.groups:
            raise RefusedError("ResourceNotFoundException", f"Thing Group {name} does not exist", 404)
        return page(p, "things", sorted(self.groups[name]))
