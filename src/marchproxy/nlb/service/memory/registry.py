"""registry.json: the members, and what they answered about listeners."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf import json_format

from marchproxy.contract.convert.instance import instance_from_pb, instance_to_pb
from marchproxy.contract.pb import types_pb2
from marchproxy.model.module import InstanceId
from marchproxy.model.plan import Verdict
from marchproxy.model.route import Route, RouteId
from marchproxy.nlb.service.memory.saved import FORMAT, Saved
from marchproxy.nlb.state.member import Member, Moment
from marchproxy.nlb.state.verdicts import Answer


class RegistryText:
    """Makes the file's content. Of hundreds of members only what changed since the last time is encoded anew."""

    def __init__(self) -> None:
        self._known: dict[InstanceId, tuple[Member, str]] = {}
        self._answers: dict[tuple[InstanceId, str], tuple[Answer, str]] = {}

    def dump(self, saved: Saved) -> bytes:
        """The content."""
        self._known = {member.instance.instance_id: self._of(member) for member in saved.members}
        self._answers = {key: self._of_answer(key, answer) for key, answer in saved.answers.items()}
        members = ",\n".join([text for _, text in self._known.values()])
        verdicts = ",\n".join([text for _, text in self._answers.values()])
        return f'{{"format": {FORMAT}, "members": [\n{members}\n], "verdicts": [\n{verdicts}\n]}}'.encode()

    def _of(self, member: Member) -> tuple[Member, str]:
        known = self._known.get(member.instance.instance_id)
        if known is not None and _same(known[0], member):
            return known
        return member, json.dumps(_dump_member(member))

    def _of_answer(self, key: tuple[InstanceId, str], answer: Answer) -> tuple[Answer, str]:
        known = self._answers.get(key)
        if known is not None and known[0] is answer:
            return known
        instance, listener = key
        item = {"instance": instance, "listener": listener, **_dump_verdict(answer.verdict)}
        return answer, json.dumps(item)


def parse_registry(
    data: bytes, now: Moment
) -> tuple[tuple[Member, ...], dict[tuple[InstanceId, str], Answer]]:
    """Members and answers. Raises ValueError, KeyError, TypeError, AttributeError or ParseError on anything else."""
    document = json.loads(data)
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']} is not {FORMAT}")
    members = tuple(_parse_member(item, now) for item in document["members"])
    return members, _parse_answers(document["verdicts"])


def _same(one: Member, other: Member) -> bool:
    return (
        one.instance is other.instance or one.instance == other.instance
    ) and one.registration_id == other.registration_id


def _dump_member(member: Member) -> dict[str, Any]:
    return {
        "instance": json_format.MessageToDict(instance_to_pb(member.instance)),
        "registration_id": member.registration_id,
        "registered_at": member.registered_at.isoformat(),
    }


def _parse_member(item: Mapping[str, Any], now: Moment) -> Member:
    pb = json_format.ParseDict(item["instance"], types_pb2.ModuleInstance())
    registered_at = datetime.fromisoformat(item["registered_at"])
    return Member(instance_from_pb(pb), str(item["registration_id"]), registered_at, now)


def _dump_verdict(verdict: Verdict) -> dict[str, Any]:
    return {"can_handle": verdict.can_handle, "priority": verdict.priority, "reason": verdict.reason}


def _parse_answers(items: Iterable[Mapping[str, Any]]) -> dict[tuple[InstanceId, str], Answer]:
    # the registration is left empty: these answers hold until the instance is asked again, which is at once
    return {
        (InstanceId(item["instance"]), str(item["listener"])): Answer(
            Verdict(bool(item["can_handle"]), int(item["priority"]), str(item["reason"])),
            registration_id="",
            route=Route(RouteId("")),
        )
        for item in items
    }
