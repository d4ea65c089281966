"""Configuration: where a module's desired state comes from, at the start and whenever it is looked at again."""

import asyncio
from collections.abc import Callable

from marchproxy.contract.document import checksum, encode
from marchproxy.kit.logs import get_logger
from marchproxy.kit.settings import SettingsError
from marchproxy.model.problem import Problem, RefusalCode, Refused
from marchproxy.model.state import DesiredState
from marchproxy.modules.base.core import ModuleCore
from marchproxy.modules.base.engine import Isolate
from marchproxy.modules.base.keeper import Keeper
from marchproxy.modules.base.registrar import Advice
from marchproxy.modules.base.running import Running

_log = get_logger(__name__)

#: Reads the desired state, as at the start. Raises SettingsError.
Source = Callable[[], DesiredState]


class Configuration:
    """A module's own configuration, against what an earlier process left and what NLBs run."""

    def __init__(self, core: ModuleCore, source: Source, keeper: Keeper, asked: asyncio.Event) -> None:
        """`asked` is set, by whoever wants it, to have the configuration read again."""
        self._core = core
        self._source = source
        self._keeper = keeper
        self._asked = asked
        self._advised: set[str] = set()

    async def start(self) -> None:
        """What the process before us ran, unless our own configuration has changed since; then that. Raises Refused.

        Where our own cannot run, what ran before is better than nothing.
        """
        kept = self._keeper.load()
        try:
            await self._start(kept)
            if kept is not None and kept.draining:  # whatever it runs
                self._core.note(Running.on_leave)
        except Refused as refused:
            if kept is None or refused.code is RefusalCode.UNAVAILABLE:
                raise
            await self._core.restore(kept)
            self._core.trouble = f"what ran before goes on, because our own cannot: {refused.message}"
            _log.error(
                "what ran before goes on, because our own configuration cannot", reason=refused.message
            )

    async def _start(self, kept: Running | None) -> None:
        core = self._core
        state, document = self._read()
        if kept is not None and kept.origin == document and (kept.modified or kept.checksum != document):
            try:
                await core.restore(kept)
            except Refused as refused:
                if refused.code is RefusalCode.UNAVAILABLE:
                    raise
                _log.warning("what an earlier process left cannot run any more", reason=refused.message)
            else:
                _log.info("took up the state that an earlier process left", updated_at=str(kept.updated_at))
                return
        await self._take(state, document, Isolate.FAULTY)

    async def reload(self) -> str:
        """Read the configuration again and run it; says what came of it. Raises Refused."""
        core = self._core
        if core.governor:
            return f"{core.governor} says what this instance runs; its own configuration does not matter"
        state, document = self._read()
        if document == core.running.checksum and not core.running.modified:
            await core.refresh()
            core.trouble = ""
            return "the configuration has not changed"
        await self._take(state, document)
        _log.info(
            "configuration loaded", checksum=document[:12], routes=len(state.routes), pools=len(state.pools)
        )
        loaded = f"{len(state.routes)} routes, {len(state.pools)} pools, {len(state.rate_limits)} rate limits loaded"
        return "; set aside: ".join((loaded, *map(str, core.isolated)))

    async def follow(self) -> None:
        """Reload whenever that is asked for, until cancelled; a refusal is logged, and everything stays as it was."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                _log.info("reload", result=await self.reload())
            except Refused as refused:
                _log.error("reload refused; everything stays as it was", reason=refused.message)

    async def consider(self, advice: Advice) -> None:
        """An NLB runs another configuration: look whether ours has changed too, once for each that is asked for.

        Where it has not, there is nothing newer to run, and what was told over gRPC stays.
        """
        running = self._core.running
        if advice.wanted_checksum in self._advised or advice.wanted_checksum == running.checksum:
            return
        self._advised = {advice.wanted_checksum}
        try:
            _, document = self._read()
        except Refused as refused:
            _log.warning("our own configuration cannot be read", reason=refused.message)
            return
        changed = document != running.origin
        _log.info("the NLB runs another configuration", nlb=advice.nlb, ours_has_changed=changed)
        if changed:
            self._asked.set()

    async def _take(self, state: DesiredState, document: str, isolate: Isolate = Isolate.REJECTED) -> None:
        if problems := self._core.faults(state):
            raise Refused(RefusalCode.INVALID_ARGUMENT, str(problems[0]), problems)
        await self._core.load(state, document, isolate)
        self._core.trouble = ""
        self._core.note(Running.from_own)

    def _read(self) -> tuple[DesiredState, str]:
        try:
            state = self._source()
        except SettingsError as error:
            problems = [Problem(problem.path, problem.render()) for problem in error.problems]
            raise Refused(RefusalCode.INVALID_ARGUMENT, error.render(), problems) from error
        return state, checksum(encode(state))
