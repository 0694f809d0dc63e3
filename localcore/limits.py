"""The size limits of a runtime, as checks. Each takes the limit, and does nothing where the runtime sets none."""

import json
from collections.abc import Mapping
from typing import Any

from localcore.errors import DeploymentError
from localcore.runtime import Limits


def json_message_survives(message: object, limits: Limits) -> bool:
    """Whether lite's subscribers survive this JsonMessage; beyond these sizes their subscription dies in silence."""
    return _survives(message, limits, depth=0)


def _survives(value: object, limits: Limits, depth: int) -> bool:
    if isinstance(value, dict):
        if limits.json_depth is not None and depth >= limits.json_depth:
            return False
        if limits.json_keys is not None and len(value) > limits.json_keys:
            return False
        return all(_survives(item, limits, depth + 1) for item in value.values())
    if isinstance(value, list):
        if limits.json_list_items is not None and len(value) > limits.json_list_items:
            return False
        return all(_survives(item, limits, depth) for item in value)
    return True


def check_configuration(component: str, configuration: Mapping[str, Any], limits: Limits) -> None:
    """Raises DeploymentError naming the first leaf, or service of accessControl, that is too large."""
    if limits.leaf_bytes is not None:
        _check_leaves(component, configuration, limits.leaf_bytes, "")
    control = configuration.get("accessControl")
    if limits.access_control_bytes is None or not isinstance(control, Mapping):
        return
    for service, policies in control.items():
        size = len(_compact(policies))
        if size > limits.access_control_bytes:
            raise DeploymentError(
                f"{component}: accessControl of {service} is {size} B, over the limit of {limits.access_control_bytes}"
            )


def _check_leaves(component: str, value: object, limit: int, path: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_leaves(component, item, limit, f"{path}/{key}")
        return
    size = len(_compact(value))
    if size > limit:
        raise DeploymentError(f"{component}: configuration {path}: a leaf of {size} B is over the limit of {limit}")


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
