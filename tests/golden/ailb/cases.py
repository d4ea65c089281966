"""The golden cases of the AILB: a desired state in each folder, and the resources that Envoy gets for it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from marchproxy.contract.document import decode
from marchproxy.engines.envoy.xds.snapshot import Snapshot, check
from marchproxy.modules.ailb.credential import read_credential, secret_name, value_of
from marchproxy.modules.ailb.resources.credentials import credential_secret
from marchproxy.modules.ailb.resources.extension import AiExtension
from marchproxy.modules.ailb.resources.sockets import Sockets
from marchproxy.modules.http.resources import Builder, ListenerSpec
from tests.golden.alb.cases import documents, findings

HERE = Path(__file__).parent
CASES = sorted(path.parent for path in HERE.glob("*/state.yaml"))
LISTENER = ListenerSpec("http", "127.0.0.1", 8081)
SOCKETS = Sockets(Path("/run/marchproxy/ai"), 2)


def snapshot_of(case: Path, sockets: Sockets = SOCKETS) -> Snapshot:
    """What a case is compiled to. Files of credentials, and of TLS, lie in its folder.

    An Envoy that is to judge it wants a folder of sockets that is there.
    """
    state = decode((case / "state.yaml").read_bytes())
    wanted = {secret_name(pool.ai): pool.ai for pool in state.pools if pool.ai and pool.ai.credential}
    secrets = tuple(
        credential_secret(ai, value_of(ai.provider, read_credential(str(case / Path(ai.credential).name))))
        for ai in wanted.values()
    )
    builder = Builder([LISTENER], extension=AiExtension(sockets))
    return check(builder.build(state, {}, replace(findings(case, state), secrets=secrets)))


def resources(case: Path, sockets: Sockets = SOCKETS) -> dict[str, list[dict[str, Any]]]:
    """Every resource of a case by kind, as Envoy's own YAML would write it."""
    built = documents(snapshot_of(case, sockets))
    return {kind: items for kind, items in built.items() if items}
