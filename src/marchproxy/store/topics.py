"""Topics: who waits for changes is told of them, each topic once however often it changed since they last looked."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from weakref import WeakSet


class Subscription(AsyncIterator[str]):
    """The topics that have changed since they were last taken; it never ends by itself."""

    def __init__(self) -> None:
        self._waiting: dict[
            str, None
        ] = {}  # in the order of their first change; no more than there are topics
        self._some = asyncio.Event()

    def tell(self, topic: str) -> None:
        """One has changed."""
        self._waiting[topic] = None
        self._some.set()

    async def __anext__(self) -> str:
        await self._some.wait()
        topic = next(iter(self._waiting))
        del self._waiting[topic]
        if not self._waiting:
            self._some.clear()
        return topic


class Topics:
    """Everybody in this process who waits for changes; who lets go of a subscription has left."""

    def __init__(self) -> None:
        self._subscriptions: WeakSet[Subscription] = WeakSet()

    def subscribe(self) -> Subscription:
        """From now on."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    def tell(self, topics: Iterable[str]) -> None:
        """These have changed."""
        named = tuple(topics)
        for subscription in tuple(self._subscriptions):
            for topic in named:
                subscription.tell(topic)
