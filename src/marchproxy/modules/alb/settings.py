"""Settings of one ALB instance: an entry of `modules` with `type: alb`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, model_validator

from marchproxy.kit.grpc.tls import ChannelTls
from marchproxy.kit.settings import HostPort
from marchproxy.modules.http.settings import HttpSettings


def _one_or_several(given: Any) -> Any:
    return [given] if isinstance(given, str | HostPort) else given


class AlbSettings(HttpSettings):
    """One instance of the ALB."""

    type: Literal["alb"] = "alb"
    xds_server: Annotated[tuple[HostPort, ...], BeforeValidator(_one_or_several)] = ()
    """Where its Envoy takes routes and pools from, such as a manager's `xds.grpc`; of several one that answers.
    None: the ALB programs its Envoy itself."""
    xds_tls: ChannelTls | None = None
    """TLS of that; none: plain."""

    @model_validator(mode="after")
    def _central_fits(self) -> Self:
        if self.xds_tls is not None and not self.xds_server:
            raise ValueError("xds_tls is for xds_server; give that")
        if self.xds_server and (self.tls_traffic is not None or self.tls_proxy_traffic is not None):
            raise ValueError(
                "an ALB with xds_server serves plain HTTP: end TLS at the NLB (https.tls_ended_ports), "
                "and leave out tls_traffic and tls_proxy_traffic"
            )
        return self
