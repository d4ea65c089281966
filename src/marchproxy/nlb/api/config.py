"""UpdateNLBConfig and GetNLBConfig: the desired state as a document."""

import asyncio

from marchproxy.contract.convert.times import moment_to_pb
from marchproxy.contract.document import Decoder, checksum, encode
from marchproxy.contract.errors import refusal_of, validation_errors
from marchproxy.contract.pb import nlb_pb2, types_pb2
from marchproxy.kit.grpc.calls import Context
from marchproxy.kit.grpc.status import invalid
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.nlb.api.desk import Desk

#: The only kind of document there is: listeners, routes, pools and rate limits.
STATE = "state"


class ConfigApi:
    """What it should do."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._decoder = Decoder()

    async def UpdateNLBConfig(
        self, request: nlb_pb2.UpdateNLBConfigRequest, _: Context
    ) -> nlb_pb2.UpdateNLBConfigResponse:
        """Replace listeners and routes; answered when the data plane carries them, or refused them."""
        if not request.HasField("config"):
            raise invalid("config: is missing")
        try:
            desired = await asyncio.to_thread(_read, request.config, self._decoder)
            self._desk.core.check(desired)
        except (InvalidValue, Refused) as failure:
            return self._refused(failure, passed=False)
        if request.validate_only:
            return nlb_pb2.UpdateNLBConfigResponse(
                success=True, validation_passed=True, message="would be accepted"
            )
        try:
            restated = frozenset(request.restated) if request.keep_shifts else None
            await self._desk.core.configure(desired, restated=restated)
        except (InvalidValue, Refused) as failure:
            return self._refused(failure, passed=isinstance(failure, Refused))
        return nlb_pb2.UpdateNLBConfigResponse(
            success=True, validation_passed=True, message=f"in force: {self._desk.core.checksum}"
        )

    async def GetNLBConfig(
        self, request: nlb_pb2.GetNLBConfigRequest, _: Context
    ) -> nlb_pb2.GetNLBConfigResponse:
        """The document that is in force."""
        if request.config_type not in {"", STATE}:
            raise invalid(f'config_type: unknown type "{request.config_type}"; known: {STATE}')
        core = self._desk.core
        data = encode(core.world.desired)
        updated_at = moment_to_pb(core.configured_at)
        config = types_pb2.ConfigUpdate(
            config_id=self._desk.settings.id,
            config_type=STATE,
            config_data=data,
            checksum=checksum(data),
            updated_at=updated_at,
            metadata={
                "document_checksum": core.checksum,
                "modified": "true" if core.world.progress.modified else "false",
            },
        )
        return nlb_pb2.GetNLBConfigResponse(configs=[config], last_updated=updated_at)

    def _refused(self, failure: InvalidValue | Refused, *, passed: bool) -> nlb_pb2.UpdateNLBConfigResponse:
        problems = failure.problems or (Problem("", refusal_of(failure).message),)
        return nlb_pb2.UpdateNLBConfigResponse(
            success=False,
            validation_passed=passed,
            validation_errors=validation_errors(problems),
            **self._desk.refusal(failure),
        )


def _read(config: types_pb2.ConfigUpdate, decoder: Decoder) -> DesiredState:
    """The sound state in the document. Raises InvalidValue with every fault, Refused for what is beside it."""
    if config.config_type not in {"", STATE}:
        message = f'config_type: unknown type "{config.config_type}"; known: {STATE}'
        raise Refused(RefusalCode.INVALID_ARGUMENT, message)
    if config.checksum and config.checksum != checksum(config.config_data):
        actual = checksum(config.config_data)
        message = f"checksum: the document's is {actual}, not {config.checksum}; it was changed on its way"
        raise Refused(RefusalCode.INVALID_ARGUMENT, message)
    return decoder.decode(config.config_data)
