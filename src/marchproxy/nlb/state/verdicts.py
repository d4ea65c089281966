"""Verdicts: what instances answered to CanHandle, and what they have still to be asked.

Each instance is asked about each listener: connections depend on it. About a route of the table, which may be one of
thousands, one instance is asked for all that run the same: the same kind of module, version and configuration.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from marchproxy.model.listener import Listener
from marchproxy.model.module import InstanceId, ModuleInstance, ModuleType, Version
from marchproxy.model.plan import Verdict, spoken_to
from marchproxy.model.route import Route, RouteId
from marchproxy.nlb.state.member import Member, Standing
from marchproxy.nlb.state.world import World

LISTENER, ROUTE = "listener", "route"

#: Kind of module, version, checksum of the configuration: whose instances answer alike about routes.
Crowd: TypeAlias = tuple[ModuleType, Version, str]


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

    def given_for(self, route: Route) -> bool:
        """Whether it is an answer about this route, and not about one of the same id before it."""
        return self.route is route or self.route == route  # nearly always the same object


@dataclass(frozen=True, slots=True)
class Asking:
    """A question to put to an instance."""

    instance_id: InstanceId
    address: str
    registration_id: str
    subject: Subject
    route: Route


class Lookup(Protocol):
    """Verdicts by instance and the subject's name."""

    def get(self, key: tuple[InstanceId, str], /) -> Verdict | None:
        """The verdict, or None before there is one."""
        ...


@dataclass(slots=True)
class Answers:
    """Every answer that still counts. `listeners` by instance and name; `routes` by crowd and route id."""

    listeners: dict[tuple[InstanceId, str], Answer] = field(default_factory=dict)
    routes: dict[Crowd, dict[RouteId, Answer]] = field(default_factory=dict)

    def record(self, asking: Asking, verdict: Verdict, world: World) -> bool:
        """Keep an answer; False when nobody wants it any more."""
        member = world.registry.members.get(asking.instance_id)
        if member is None or member.registration_id != asking.registration_id:
            return False
        answer = Answer(verdict, asking.registration_id, asking.route)
        name = asking.subject.name
        if asking.subject.kind == ROUTE:
            if RouteId(name) not in world.table.entries:
                return False
            self.routes.setdefault(crowd_of(member.instance), {})[RouteId(name)] = answer
            return True
        if all(listener.name != name for listener in world.desired.listeners):
            return False
        self.listeners[asking.instance_id, name] = answer
        return True

    def forget_gone(self, world: World) -> None:
        """Drop answers of instances that are gone, and about listeners and routes that are."""
        members, names = world.registry.members, {listener.name for listener in world.desired.listeners}
        self.listeners = {
            (instance, name): answer
            for (instance, name), answer in self.listeners.items()
            if instance in members and name in names
        }
        crowds = {crowd_of(member.instance) for member in members.values()}
        self.routes = {crowd: known for crowd, known in self.routes.items() if crowd in crowds}
        for known in self.routes.values():
            for route_id in known.keys() - world.table.entries.keys():
                del known[route_id]

    def about_listeners(self) -> dict[tuple[InstanceId, str], Verdict]:
        """The verdicts about listeners, by instance and listener name."""
        return {key: answer.verdict for key, answer in self.listeners.items()}


@dataclass(frozen=True, slots=True)
class RouteVerdicts:
    """The verdicts about routes as each instance would give them. A Lookup by instance and route id."""

    answers: Answers
    members: Mapping[InstanceId, Member]

    def get(self, key: tuple[InstanceId, str], /) -> Verdict | None:
        """The verdict, or None before there is one."""
        instance_id, route_id = key
        member = self.members.get(instance_id)
        if member is None:
            return None
        answer = self.answers.routes.get(crowd_of(member.instance), {}).get(RouteId(route_id))
        return answer.verdict if answer else None


def crowd_of(instance: ModuleInstance) -> Crowd:
    """Whom it answers alike with."""
    return (instance.module_type, instance.version, instance.config_checksum)


def about_listener(listener: Listener) -> Route:
    """The route that stands for whatever a module gets from a listener."""
    return Route(
        RouteId(""),
        protocol=spoken_to(listener),
        destination_port=listener.port,
        listeners=(listener.name,),
        module_type=listener.module_type,
    )


def same_questions(before: World, now: World) -> bool:
    """Whether nothing can be left to ask that was not to be asked before; health may choose another spokesman."""
    return (
        before.table is now.table
        and before.desired.listeners == now.desired.listeners
        and _roster(before) == _roster(now)
    )


def to_ask(world: World, answers: Answers) -> Iterator[Asking]:
    """What has no answer yet, or an old one. Listeners come first: traffic waits for them."""
    present = [m for m in world.registry.members.values() if m.standing is not Standing.LEAVING]
    yield from _about_listeners(world, present, answers)
    registrations = {member.registration_id for member in present}
    routes = world.table.routes()
    for crowd, member in _spokesmen(present).items():
        kind, known = member.instance.module_type, answers.routes.get(crowd, {})
        for route in routes:
            if route.only_for not in {None, kind}:
                continue
            answer = known.get(route.route_id)
            if answer is None or not answer.given_for(route) or answer.registration_id not in registrations:
                yield _asking(member, Subject(ROUTE, route.route_id), route)


def _roster(world: World) -> object:
    return {
        key: (member.registration_id, crowd_of(member.instance), member.standing is Standing.LEAVING)
        for key, member in world.registry.members.items()
    }


def _spokesmen(members: Iterable[Member]) -> dict[Crowd, Member]:
    """Who is asked for each crowd: the first that takes traffic, or the first."""
    found: dict[Crowd, Member] = {}
    for member in members:
        crowd = crowd_of(member.instance)
        if crowd not in found or (_serves(member) and not _serves(found[crowd])):
            found[crowd] = member
    return found


def _serves(member: Member) -> bool:
    return member.effective.health.takes_traffic


def _about_listeners(world: World, present: list[Member], answers: Answers) -> Iterator[Asking]:
    subjects = [(listener.name, about_listener(listener)) for listener in world.desired.listeners]
    for member in present:
        for name, route in subjects:
            if route.module_type is not member.instance.module_type:
                continue
            answer = answers.listeners.get((member.instance.instance_id, name))
            if (
                answer is None
                or answer.registration_id != member.registration_id
                or not answer.given_for(route)
            ):
                yield _asking(member, Subject(LISTENER, name), route)


def _asking(member: Member, subject: Subject, route: Route) -> Asking:
    instance = member.instance
    return Asking(instance.instance_id, instance.address, member.registration_id, subject, route)
