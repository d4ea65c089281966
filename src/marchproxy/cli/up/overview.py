"""What is said once everything runs: which port leads to whom, and what to type next."""

import asyncio
from collections.abc import Iterable

from rich.text import Text

from marchproxy.cli.file import FileDocument
from marchproxy.cli.file.schema import dialled
from marchproxy.cli.screen import Sheet, columns, health_text
from marchproxy.cli.up.streaming import stream_commands
from marchproxy.contract.fleet.client import Client
from marchproxy.contract.fleet.words import health
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.settings import HostPort
from marchproxy.model.module import HTTP_FAMILY, Protocol
from marchproxy.model.rtmp import STREAMING_PROTOCOLS
from marchproxy.modules.dblb.settings import DblbSettings
from marchproxy.modules.rtmp.settings import RtmpSettings

_TARGET_SECONDS = 10.0
_POLL = 0.05


async def wait_for_targets(client: Client) -> nlb_pb2.GetNLBStatusResponse:
    """Wait until the NLB forwards every listener to somebody, but not for ever; the NLB's last status."""
    request = nlb_pb2.GetNLBStatusRequest(include_modules=True)
    status = nlb_pb2.GetNLBStatusResponse()
    try:
        async with asyncio.timeout(_TARGET_SECONDS):
            while status.status != types_pb2.HEALTH_STATUS_HEALTHY:
                status = await client.nlb(lambda stub, left: stub.GetNLBStatus(request, timeout=left))
                await asyncio.sleep(_POLL)
    except TimeoutError:
        return status
    return status


# of modules that serve HTTP, those at whose root there is nothing to see
_TRIALS = {"ailb": "curl http://{address}/v1/models -H 'authorization: Bearer KEY'"}
_PATHS = {"ailb": "/v1/chat/completions -X POST"}
_CLIENTS = {
    Protocol.POSTGRES: "psql -h {host} -p {port}",
    Protocol.MYSQL: "mysql -h {host} -P {port} -p",
    Protocol.MONGODB: "mongosh mongodb://{host}:{port}/",
    Protocol.REDIS: "redis-cli -h {host} -p {port}",
}


def overview(status: nlb_pb2.GetNLBStatusResponse) -> Sheet:
    """Listeners, the modules behind them, and their instances."""
    rows = [
        (
            listener.name,
            listener.address,
            types_pb2.ModuleType.Name(listener.module_type).removeprefix("MODULE_TYPE_").lower(),
            Text("\n").join(_instances(status, listener.module_type)) or Text("nobody yet", style="yellow"),
        )
        for listener in status.listeners
    ]
    return Sheet("", columns("listener", "address", "module", "instances"), rows, "no listeners")


def invitations(document: FileDocument) -> Iterable[str]:
    """Commands that show that it works."""
    entrances = list(_entrances(document))
    web = {dialled(address): kind for kind, protocol, address in entrances if protocol in HTTP_FAMILY}
    for address, kind in web.items():
        yield _TRIALS.get(kind, "curl http://{address}/").format(address=address)
    for _, protocol, address in entrances:
        where = dialled(address)
        if protocol in _CLIENTS:
            yield _CLIENTS[protocol].format(host=where.host, port=where.port)
        elif protocol in STREAMING_PROTOCOLS:
            yield from stream_commands(document, protocol, where)
    if document.nlb is not None:
        option = _nlb_option(dialled(document.nlb.grpc))
        yield f"marchproxy get modules{option}"
        if web:
            address, kind = next(iter(web.items()))
            yield f"marchproxy explain http://{address}{_PATHS.get(kind, '/')}{option}"


def _entrances(document: FileDocument) -> Iterable[tuple[str, Protocol, HostPort]]:
    """Where clients come in: to which kind of module, and what they speak there."""
    if document.nlb is not None:
        for listener in document.listeners:
            yield listener.module.value, listener.protocol, listener.address
        return
    for module in document.modules:
        if isinstance(module, DblbSettings | RtmpSettings):
            yield from (
                (module.type, port.protocol, port.address) for port in module.ports() if not port.proxied
            )
            if isinstance(module, RtmpSettings) and module.playback is not None:
                yield from ((module.type, one, module.playback) for one in (Protocol.HLS, Protocol.DASH))
        elif module.traffic is not None:
            yield module.type, Protocol.HTTP, module.traffic


def _instances(
    status: nlb_pb2.GetNLBStatusResponse, module_type: types_pb2.ModuleType.ValueType
) -> Iterable[Text]:
    for module in status.modules:
        if module.module_type == module_type:
            where = ", ".join(dict.fromkeys(endpoint.address for endpoint in module.traffic_endpoints))
            yield (
                Text(f"{module.instance_id} ({module.version}) ")
                + health_text(health(module.health_status))
                + Text(f" at {where}")
            )


def _nlb_option(address: HostPort) -> str:
    return "" if str(address) == "127.0.0.1:50050" else f" --nlb {address}"
