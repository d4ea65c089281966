"""Credentials: what clusters show, put at hand for an Envoy that judges them. No I/O.

Envoy 1.40 in validation mode crashes over a cluster whose credential would come from a control plane and whose endpoints
it knows at once, as those of `localhost`.
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.filters.http.credential_injector.v3 import credential_injector_pb2
from envoy.extensions.http.injected_credentials.generic.v3 import generic_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from marchproxy.engines.envoy.messages import pack

_Options = http_protocol_options_pb2.HttpProtocolOptions
_Injector = credential_injector_pb2.CredentialInjector
_MARK = _Injector.DESCRIPTOR.full_name.encode()


def taken_from_hand(cluster: Any) -> Iterator[str]:
    """The names of a cluster's credentials; it is changed in place, to find them among the bootstrap's own secrets."""
    for key, packed in list(cluster.typed_extension_protocol_options.items()):
        if not packed.Is(_Options.DESCRIPTOR) or _MARK not in packed.value:
            continue
        options = _Options.FromString(packed.value)
        for http_filter in options.http_filters:
            if http_filter.typed_config.Is(_Injector.DESCRIPTOR):
                injector = _Injector.FromString(http_filter.typed_config.value)
                generic = generic_pb2.Generic.FromString(injector.credential.typed_config.value)
                generic.credential.ClearField("sds_config")
                injector.credential.typed_config.CopyFrom(pack(generic))
                http_filter.typed_config.CopyFrom(pack(injector))
                yield generic.credential.name
        cluster.typed_extension_protocol_options[key].CopyFrom(pack(options))


def stand_in_credential(name: str) -> secret_pb2.Secret:
    """A credential of that name, for what only asks whether there is one."""
    secret = secret_pb2.GenericSecret(secret=base_pb2.DataSource(inline_string=name))
    return secret_pb2.Secret(name=name, generic_secret=secret)
