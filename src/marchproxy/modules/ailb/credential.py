"""Credential: the key that a provider is shown, read from a file and kept in its last good form. Never logged, in no text."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from marchproxy.engines.envoy.pem import UnusableFile
from marchproxy.kit.files import file_signature
from marchproxy.kit.logs import get_logger
from marchproxy.model.ai import AiPool, Provider

_log = get_logger(__name__)
_LONGEST = 8192
_PLAIN = re.compile(rb"[\x21-\x7e]+")
#: The field of a pool that names the file.
FIELD = "ai.credential"
_Signature = tuple[int, int, int] | None


def header_of(provider: Provider) -> str:
    """The header in which a provider looks for its key."""
    return "x-api-key" if provider is Provider.ANTHROPIC else "authorization"


def value_of(provider: Provider, key: str) -> str:
    """What stands in it."""
    return key if provider is Provider.ANTHROPIC else f"Bearer {key}"


def secret_name(ai: AiPool) -> str:
    """The secret's name; pools that show the same file alike share it."""
    return f"credential.{header_of(ai.provider)}.{ai.credential}"


def read_credential(path: str) -> str:
    """The key that a file holds. Raises UnusableFile, which never tells the key."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_LONGEST + 1).strip()
    except OSError as error:
        raise UnusableFile(FIELD, f"{path}: {error.strerror or error}") from error
    if len(content) > _LONGEST:
        raise UnusableFile(FIELD, f"{path}: larger than {_LONGEST} bytes")
    if not content:
        raise UnusableFile(FIELD, f"{path}: is empty; it holds the provider's key and nothing else")
    if _PLAIN.fullmatch(content) is None:
        raise UnusableFile(FIELD, f"{path}: holds more than one word of ASCII; it is for the key alone")
    return content.decode("ascii")


@dataclass(frozen=True, slots=True)
class _Good:
    ai: AiPool
    signature: _Signature
    value: str

    def __repr__(self) -> str:
        return f"_Good({self.ai.credential})"


class KeyFiles:
    """What providers are shown, by `secret_name`. `faults`: why a file is of no use now, whose earlier key stays in use."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self._good: dict[str, _Good] = {}
        self._looked: dict[str, _Signature] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._good

    def values(self) -> Iterator[tuple[AiPool, str]]:
        """All of them, each with a pool that it is shown to."""
        for good in self._good.values():
            yield good.ai, good.value

    def look(self, ai: AiPool) -> str:
        """What is shown to a pool, read again where its file has changed. Raises UnusableFile where it never was of use."""
        name, signature = secret_name(ai), file_signature(ai.credential)
        known = self._good.get(name)
        self._looked[name] = signature
        if known is not None and known.signature == signature and signature is not None:
            self.faults.pop(name, None)
            return known.value
        try:
            known = _Good(ai, signature, value_of(ai.provider, read_credential(ai.credential)))
            self._good[name] = known
            self.faults.pop(name, None)
        except UnusableFile as error:
            if known is None:
                raise
            if self.faults.get(name) != str(error):
                _log.error("the earlier credential stays in use", reason=str(error))
            self.faults[name] = str(error)
        return known.value

    def changed(self) -> bool:
        """Whether a file has changed since it was read, or this was asked last."""
        before = self._looked
        self._looked = {name: file_signature(good.ai.credential) for name, good in self._good.items()}
        return any(before.get(name, signature) != signature for name, signature in self._looked.items())

    def keep(self, wanted: Collection[str]) -> None:
        """Forget all others."""
        self._good = {name: good for name, good in self._good.items() if name in wanted}
        self.faults = {name: fault for name, fault in self.faults.items() if name in wanted}
