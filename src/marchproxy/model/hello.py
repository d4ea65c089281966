"""Hello: which of several listeners a client's TLS hello is for. The one rule for every data plane and for `explain`.

The order is Envoy's (`filter_chain_match`): the most specific server name decides first, ALPN only among those that
have this name. https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/listener/v3/listener_components.proto
"""

from collections.abc import Iterable, Sequence

from marchproxy.model.listener import Listener

ANY = ""
"""In a claim: any server name, or any ALPN protocol."""


def claims(listener: Listener) -> frozenset[tuple[str, str]]:
    """What it takes, as pairs of server name (lower case) and ALPN protocol."""
    names = [name.lower() for name in listener.server_names] or [ANY]
    return frozenset((name, protocol) for name in names for protocol in listener.alpn or (ANY,))


def find_by_hello(listeners: Sequence[Listener], sni: str, alpn: Iterable[str] = ()) -> Listener | None:
    """The listener for a hello with this server name (empty: none) and these ALPN protocols, in the client's order.

    When the listeners of the best name want other ALPN protocols, the listener that names nothing takes it.
    """
    by_claim = {claim: listener for listener in reversed(listeners) for claim in claims(listener)}
    names = {name for name, _ in by_claim}
    best = next((name for name in _candidates(sni.lower()) if name in names), ANY)
    for protocol in (*alpn, ANY):
        if (found := by_claim.get((best, protocol))) is not None:
            return found
    return by_claim.get((ANY, ANY))


def _candidates(name: str) -> Iterable[str]:
    """The server names that a name fits, most specific first."""
    if name:
        yield name
    labels = name.split(".")
    for start in range(1, len(labels)):
        yield "*." + ".".join(labels[start:])
