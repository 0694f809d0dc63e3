"""accessControl and topic filters."""

from typing import Any

import pytest

from localcore.authorization import MQTTPROXY, PUBSUB, authorize, check_resources, read_policies
from localcore.errors import DeploymentError, InvalidArgumentsError, UnauthorizedError
from localcore.topics import check_filter, check_topic, matches

SUBSCRIBE = "aws.greengrass#SubscribeToTopic"


def configuration(resources: list[str], operations: list[str], service: str = PUBSUB) -> dict[str, Any]:
    return {"accessControl": {service: {"id": {"operations": operations, "resources": resources}}}}


def allowed(pattern: str, resource: str, *, mqtt: bool = False, operation: str = SUBSCRIBE) -> bool:
    policies = read_policies(configuration([pattern], [SUBSCRIBE]), PUBSUB)
    try:
        authorize(
            policies, operation, resource, mqtt=mqtt, substitute=lambda text: text.replace("{iot:thingName}", "t1")
        )
    except UnauthorizedError:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "resource", "expected"),
    [
        ("*", "any/thing", True),
        ("lab/*", "lab/#", True),
        ("lab/*", "lab/a/b", True),
        ("lab/*", "lab", False),
        ("lab/+/x", "lab/a/x", False),
        ("lab/+/x", "lab/+/x", True),
        ("lab/#", "lab/a", False),
        ("*/status", "a/b/status", True),
        ("a*c*e", "abcde", True),
        ("a*c*e", "abde", False),
        ("a.c", "abc", False),
        ("lab/${*}", "lab/*", True),
        ("lab/${*}", "lab/x", False),
        ("things/{iot:thingName}/*", "things/t1/x", True),
        ("things/{iot:thingName}/*", "things/t2/x", False),
    ],
)
def test_only_the_star_is_a_wildcard(pattern: str, resource: str, expected: bool) -> None:
    assert allowed(pattern, resource) is expected


def test_mqttproxy_matches_mqtt_wildcards_too() -> None:
    assert allowed("fleet/+/health", "fleet/t1/health", mqtt=True)
    assert allowed("fleet/#", "fleet/t1/health", mqtt=True)
    assert not allowed("fleet/+/health", "fleet/t1/other", mqtt=True)


def test_another_operation_is_refused_and_a_star_admits_all() -> None:
    assert not allowed("*", "a", operation="aws.greengrass#PublishToTopic")
    policies = read_policies(configuration(["*"], ["*"]), PUBSUB)
    authorize(policies, "aws.greengrass#PublishToTopic", "a", mqtt=False, substitute=str)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"accessControl": []},
        {"accessControl": {PUBSUB: "x"}},
        {"accessControl": {PUBSUB: {"id": {"operations": "*", "resources": ["*"]}}}},
        {"accessControl": {PUBSUB: {"id": {"operations": ["*"], "resources": "*"}}}},
        configuration(["*"], ["*"], MQTTPROXY),
    ],
)
def test_a_malformed_or_foreign_policy_grants_nothing(tree: dict[str, Any]) -> None:
    with pytest.raises(UnauthorizedError, match="does not allow"):
        authorize(read_policies(tree, PUBSUB), SUBSCRIBE, "a", mqtt=False, substitute=str)


def test_a_question_mark_in_a_resource_fails_a_lite_deployment() -> None:
    check_resources("A", configuration(["a/*", "b${?}"], ["*"]))
    with pytest.raises(DeploymentError, match=r"'\?' in resource 'a/\?'"):
        check_resources("A", configuration(["a/?"], ["*"]))


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/b", "a/b", True),
        ("+", "", True),
        ("a//b", "a//b", True),
    ],
)
def test_filters(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("text", ["", None, 5, "a/#/b", "a#", "a+/b", "x" * 257, "a\0b"])
def test_bad_filters_are_refused(text: object) -> None:
    with pytest.raises(InvalidArgumentsError):
        check_filter(text, 256)


def test_a_topic_may_have_256_characters() -> None:
    assert check_topic("x" * 256, 256) == "x" * 256
