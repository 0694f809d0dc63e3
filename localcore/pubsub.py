"""Local publish/subscribe: who listens to what. It keeps nothing and never waits."""

from collections.abc import Callable
from dataclasses import dataclass

from localcore.topics import is_filter, matches

Deliver = Callable[[str, bytes], None]


@dataclass(slots=True, eq=False)
class Subscription:
    """One live subscription; `deliver(topic, payload)` must not block, `end()` forgets it."""

    topic_filter: str
    deliver: Deliver


class Broker:
    """Matches publications with subscriptions: plain topics by name, filters one by one."""

    def __init__(self) -> None:
        self._plain: dict[str, list[Subscription]] = {}
        self._filters: list[Subscription] = []

    def subscribe(self, topic_filter: str, deliver: Deliver) -> Subscription:
        """Add a subscription."""
        subscription = Subscription(topic_filter, deliver)
        self._bucket(topic_filter).append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove it; nothing happens when it is gone already."""
        bucket = self._bucket(subscription.topic_filter)
        if subscription in bucket:
            bucket.remove(subscription)
        if not bucket:
            self._plain.pop(subscription.topic_filter, None)

    def find(self, topic: str) -> list[Subscription]:
        """The subscriptions that a publication on `topic` reaches."""
        return [*self._plain.get(topic, ()), *(item for item in self._filters if matches(item.topic_filter, topic))]

    def _bucket(self, topic_filter: str) -> list[Subscription]:
        return self._filters if is_filter(topic_filter) else self._plain.setdefault(topic_filter, [])

    def __len__(self) -> int:
        return len(self._filters) + sum(len(bucket) for bucket in self._plain.values())
