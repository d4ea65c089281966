"""Verdicts: what instances answered to CanHandle, and what they have still to be asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Verdict, spoken_to
from marchproxy.model.route import Route, RouteId
from marchproxy.nlb.state.member import Standing
from marchproxy.nlb.state.world import World


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: a listener or a route of the table, by name."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, and the registration and route it was given for; another registration or route asks again."""

    verdict: Verdict
    registration_id: str
    route: Route


@dataclass(frozen=True, slots=True)
class Asking:
    """A question to put to an instance."""

    instance_id: InstanceId
    address: str
    registration_id: str
    subject: Subject
    route: Route


Answers = Mapping[tuple[InstanceId, Subject], Answer]

LISTENER, ROUTE = "listener", "route"


def about_listener(listener: Listener) -> Route:
    """The route that stands for whatever a module gets from a listener."""
    return Route(
        RouteId(""),
        protocol=spoken_to(listener),
        destination_port=listener.port,
        listeners=(listener.name,),
        module_type=listener.module_type,
    )


def to_ask(world: World, answers: Answers) -> Iterator[Asking]:
    """What has no answer yet, or an old one. Listeners come first: traffic waits for them."""
    subjects = [
        (Subject(LISTENER, listener.name), about_listener(listener)) for listener in world.desired.listeners
    ]
    subjects += [(Subject(ROUTE, route_id), entry.route) for route_id, entry in world.table.entries.items()]
    for member in world.registry.members.values():
        if member.standing is Standing.LEAVING:
            continue
        instance = member.instance
        for subject, route in subjects:
            if route.module_type not in {None, instance.module_type}:
                continue
            answer = answers.get((instance.instance_id, subject))
            if answer is None or answer.registration_id != member.registration_id or answer.route != route:
                yield Asking(instance.instance_id, instance.address, member.registration_id, subject, route)


def verdicts_of(kind: str, answers: Answers) -> dict[tuple[InstanceId, str], Verdict]:
    """The verdicts about one kind of subject, by instance and the subject's name."""
    return {
        (instance, subject.name): answer.verdict
        for (instance, subject), answer in answers.items()
        if subject.kind == kind
    }


def is_live(key: tuple[InstanceId, Subject], world: World) -> bool:
    """Whether an answer's instance, and the listener or route it is about, still exist."""
    instance_id, subject = key
    if instance_id not in world.registry.members:
        return False
    if subject.kind == ROUTE:
        return RouteId(subject.name) in world.table.entries
    return any(listener.name == subject.name for listener in world.desired.listeners)
