"""Listeners."""

from marchproxy.contract.document.schema.listener import ListenerDocument, TlsDocument
from marchproxy.kit.settings import HostPort
from marchproxy.model.listener import Listener, TlsTermination
from marchproxy.model.module import Version
from marchproxy.model.route import VersionWeight


def listener(item: ListenerDocument) -> Listener:
    """The listener; its version weights in the order of the versions."""
    tls = item.tls
    return Listener(
        name=item.name,
        host=item.address.host,
        port=item.address.port,
        protocol=item.protocol,
        module_type=item.module,
        balance=item.balance,
        version_weights=tuple(VersionWeight(Version(v), w) for v, w in sorted(item.version_weights.items())),
        idle_timeout=item.idle_timeout,
        data_plane=item.data_plane,
        server_names=item.server_names,
        alpn=item.alpn,
        tls=None if tls is None else TlsTermination(tls.certificate, tls.key, tls.client_ca, tls.alpn),
        allow=item.allow,
        deny=item.deny,
        max_connections=item.max_connections,
        max_connections_per_source=item.max_connections_per_source,
        proxy_protocol=item.proxy_protocol,
        trusted_proxies=item.trusted_proxies,
    )


def listener_document(item: Listener) -> ListenerDocument:
    """The document of a listener."""
    tls = item.tls
    return ListenerDocument(
        name=item.name,
        address=HostPort(item.host, item.port),
        protocol=item.protocol,
        module=item.module_type,
        balance=item.balance,
        version_weights={share.version: share.weight for share in item.version_weights},
        idle_timeout=item.idle_timeout,
        data_plane=item.data_plane,
        server_names=item.server_names,
        alpn=item.alpn,
        tls=None
        if tls is None
        else TlsDocument(certificate=tls.certificate, key=tls.key, client_ca=tls.client_ca, alpn=tls.alpn),
        allow=item.allow,
        deny=item.deny,
        max_connections=item.max_connections,
        max_connections_per_source=item.max_connections_per_source,
        proxy_protocol=item.proxy_protocol,
        trusted_proxies=item.trusted_proxies,
    )
