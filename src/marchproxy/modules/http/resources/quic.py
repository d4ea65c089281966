"""QUIC: what makes a listener one of datagrams.

https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/http/http3
"""

from envoy.config.core.v3 import protocol_pb2
from envoy.config.listener.v3 import quic_config_pb2, udp_listener_config_pb2
from google.protobuf import wrappers_pb2

from marchproxy.engines.envoy.messages import duration
from marchproxy.modules.http.resources.connection_manager import (
    CONNECTION_WINDOW,
    MOST_STREAMS,
    STREAM_WINDOW,
)

_HANDSHAKE_SECONDS = 10.0


def quic_options() -> udp_listener_config_pb2.UdpListenerConfig:
    """Bounds as those of HTTP/2."""
    return udp_listener_config_pb2.UdpListenerConfig(
        quic_options=quic_config_pb2.QuicProtocolOptions(
            quic_protocol_options=protocol_pb2.QuicProtocolOptions(
                max_concurrent_streams=wrappers_pb2.UInt32Value(value=MOST_STREAMS),
                initial_stream_window_size=wrappers_pb2.UInt32Value(value=STREAM_WINDOW),
                initial_connection_window_size=wrappers_pb2.UInt32Value(value=CONNECTION_WINDOW),
            ),
            crypto_handshake_timeout=duration(_HANDSHAKE_SECONDS),
        )
    )
