"""GetConfig, UpdateConfig: the whole desired state as one document."""

from collections.abc import Iterable

from marchproxy.contract.convert import moment_to_pb
from marchproxy.contract.document import checksum
from marchproxy.contract.errors import validation_errors
from marchproxy.contract.pb import module_pb2, types_pb2
from marchproxy.kit.grpc import invalid
from marchproxy.kit.grpc.calls import Context
from marchproxy.model.problem import InvalidValue, Problem, RefusalCode, Refused
from marchproxy.modules.base.api.parts import Api

#: The only kind of document there is: listeners, routes, pools and rate limits.
STATE = "state"


class ConfigApi(Api):
    """The configuration as a document."""

    async def GetConfig(
        self, request: module_pb2.GetConfigRequest, _: Context
    ) -> module_pb2.GetConfigResponse:
        """The document that describes what runs now, with its checksum."""
        core = self._parts.core
        self._parts.expect(request.instance_id)
        if request.config_type not in {"", STATE}:
            raise invalid(f'config_type: unknown type "{request.config_type}"; known: {STATE}')
        running, data = core.running, core.encoded()
        updated_at = None if running.updated_at is None else moment_to_pb(running.updated_at)
        config = types_pb2.ConfigUpdate(
            config_id=core.identity.instance_id,
            config_type=STATE,
            config_data=data,
            checksum=checksum(data),
            updated_at=updated_at,
            metadata={
                "document_checksum": running.checksum,
                "modified": "true" if running.modified else "false",
            },
        )
        return module_pb2.GetConfigResponse(configs=[config], last_updated=updated_at)

    async def UpdateConfig(
        self, request: module_pb2.UpdateConfigRequest, _: Context
    ) -> module_pb2.UpdateConfigResponse:
        """Run a document in place of everything, or (`validate_only`) list everything that is wrong with it."""
        self._parts.expect(request.instance_id)
        try:
            problems = await self._update(request)
        except Refused as refused:
            return module_pb2.UpdateConfigResponse(
                success=False,
                validation_errors=validation_errors(refused.problems or [Problem("", refused.message)]),
                **self._parts.error_fields(refused),
            )
        if problems:
            return module_pb2.UpdateConfigResponse(
                success=False,
                validation_errors=validation_errors(problems),
                **self._parts.error_fields(InvalidValue(problems)),
            )
        doubts = await self._parts.core.warnings(request.config.config_data)
        if request.validate_only:
            return module_pb2.UpdateConfigResponse(
                success=True, message=_sentence("the document is sound", doubts), validation_passed=True
            )
        aside = self._parts.core.isolated
        words = f"the document runs without {len(aside)} of its parts" if aside else "the document runs"
        return module_pb2.UpdateConfigResponse(
            success=True,
            message=_sentence(words, (*aside, *doubts)),
            validation_passed=not aside,
            validation_errors=validation_errors(aside),
        )

    async def _update(self, request: module_pb2.UpdateConfigRequest) -> tuple[Problem, ...]:
        config = request.config
        if config.config_type not in {"", STATE}:
            return (Problem("config.config_type", f'unknown type "{config.config_type}"; known: {STATE}'),)
        if config.checksum and config.checksum != checksum(config.config_data):
            raise Refused(
                RefusalCode.INVALID_ARGUMENT, "config.checksum: does not fit config_data; was it cut off?"
            )
        return await self._parts.core.load_document(
            config.config_data,
            validate_only=request.validate_only,
            restated=frozenset(request.restated) if request.keep_shifts else None,
        )


def _sentence(words: str, more: Iterable[Problem]) -> str:
    return "; ".join((words, *map(str, more)))
