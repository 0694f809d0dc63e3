"""Topics and topic filters: `+` is one level, `#` the rest."""

from localcore.errors import InvalidArgumentsError


def is_filter(topic: str) -> bool:
    """Whether `topic` holds MQTT wildcards."""
    return "+" in topic or "#" in topic


def check_topic(topic: object, max_characters: int) -> str:
    """`topic` as a usable name. Raises InvalidArgumentsError."""
    if not isinstance(topic, str) or not topic:
        raise InvalidArgumentsError("topic is missing")
    if len(topic) > max_characters:
        raise InvalidArgumentsError(f"topic of {len(topic)} characters is over the limit of {max_characters}")
    if "\0" in topic:
        raise InvalidArgumentsError("topic holds a zero character")
    return topic


def check_filter(topic: object, max_characters: int) -> str:
    """`topic` as a usable filter: `#` only as the last level, wildcards only as whole levels. Raises InvalidArgumentsError."""
    name = check_topic(topic, max_characters)
    levels = name.split("/")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise InvalidArgumentsError(f"topic filter {name!r}: '#' is allowed only as the last level")
        if "+" in level and level != "+":
            raise InvalidArgumentsError(f"topic filter {name!r}: '+' must be a whole level")
    return name


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a publication on `topic` reaches a subscription to `topic_filter`."""
    wanted = topic_filter.split("/")
    given = topic.split("/")
    for index, level in enumerate(wanted):
        if level == "#":
            return True  # also matches its parent: a/# takes a
        if index == len(given) or level not in ("+", given[index]):
            return False
    return len(wanted) == len(given)
