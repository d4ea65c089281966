"""Both variants of the protocol in a shorthand, so that tests read as a dialogue."""

from envoy.service.discovery.v3 import discovery_pb2

from marchproxy.engines.envoy.xds.resource import ResourceType
from marchproxy.engines.envoy.xds.session import DeltaSession, SotwSession
from marchproxy.engines.envoy.xds.verdicts import Verdicts


class Dialogue:
    """One client stream; `heard` is what was sent since the last look, such as `cluster a1 b1` or `cluster -a`."""

    def __init__(self, variant, snapshot=None, verdicts=None):
        self.delta = variant is DeltaSession
        self.session = variant(verdicts or Verdicts())
        self.last = {}
        self.names = {}
        self.events = []
        self.session.push(snapshot)

    def push(self, snapshot):
        self.session.push(snapshot)
        return self.heard()

    def heard(self):
        lines = []
        for response in self.session.take():
            kind = next(kind for kind in ResourceType if kind.type_url == response.type_url)
            self.last[kind] = response.nonce
            entries = [r.resource if self.delta else r for r in response.resources]
            words = sorted("".join(entry.value.decode().split("|")[:2]) for entry in entries)
            words += [f"-{name}" for name in sorted(getattr(response, "removed_resources", ()))]
            lines.append(" ".join((kind.name.lower(), *words)))
        return lines

    def say(self, request):
        self.events += self.session.receive(request)
        return self.heard()

    def subscribe(self, kind, *names, drop=(), holds=None, nonce=""):
        """Ask for more names; `holds`: the versions a reconnecting delta client reports."""
        wanted = self.names.setdefault(kind, set())
        wanted |= set(names)
        wanted -= set(drop)
        if self.delta:
            return self.say(
                discovery_pb2.DeltaDiscoveryRequest(
                    type_url=kind.type_url,
                    resource_names_subscribe=names,
                    resource_names_unsubscribe=drop,
                    initial_resource_versions=holds or {},
                )
            )
        return self.say(
            discovery_pb2.DiscoveryRequest(
                type_url=kind.type_url,
                resource_names=sorted(wanted),
                response_nonce=nonce or self.last.get(kind, ""),
            )
        )

    def answer(self, kind, *, nonce=None, error=None):
        """Acknowledge the last response of this type, or refuse it."""
        status = {"error_detail": {"code": 3, "message": error}} if error is not None else {}
        common = {"type_url": kind.type_url, "response_nonce": nonce or self.last[kind], **status}
        if self.delta:
            return self.say(discovery_pb2.DeltaDiscoveryRequest(**common))
        return self.say(
            discovery_pb2.DiscoveryRequest(**common, resource_names=sorted(self.names.get(kind, ())))
        )


BOTH = (DeltaSession, SotwSession)
