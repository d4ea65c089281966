"""Checks of guardrails, and of the routes that name them."""

from collections.abc import Iterator, Mapping, Sequence

from marchproxy.model.ai import PII_ENTITIES, GuardKind, GuardMode, Guardrail
from marchproxy.model.checks.patterns import check_patterns
from marchproxy.model.checks.regexes import check_tame_regex
from marchproxy.model.problem import Problem
from marchproxy.model.route import Route
from marchproxy.model.rules import check_name, duplicates, is_url, known

_PLAIN = Guardrail("", GuardKind.REGEX)
#: What only one kind has.
_OWN: Mapping[str, GuardKind] = {
    "patterns": GuardKind.REGEX,
    "entities": GuardKind.PII,
    "allowed": GuardKind.TOOLS,
    "limit": GuardKind.MAX_TOKENS,
    "url": GuardKind.HTTP,
    "timeout": GuardKind.HTTP,
    "fail_open": GuardKind.HTTP,
}
#: Those that find something that can be replaced: a place in the text, or a number.
_REDACTING = frozenset({GuardKind.REGEX, GuardKind.PII, GuardKind.MAX_TOKENS})
_LARGEST_LIMIT = 10_000_000
_LONGEST_TIMEOUT = 30.0


def check_guardrails(guardrails: Sequence[Guardrail], routes: Sequence[Route]) -> Iterator[Problem]:
    """Faults of the guardrails, and names of them in routes that lead nowhere."""
    yield from duplicates("guardrails", "name", guardrails, lambda guardrail: guardrail.name)
    for index, guardrail in enumerate(guardrails):
        yield from _check_guardrail(guardrail, f"guardrails[{index}]")
    names = frozenset(guardrail.name for guardrail in guardrails)
    for index, route in enumerate(routes):
        wanted = route.ai.guardrails if route.ai is not None else ()
        for number, name in enumerate(wanted):
            where = f"routes[{index}].ai.guardrails[{number}]"
            if name not in names:
                yield Problem(where, f'no guardrail "{name}"{known(names)}')
            elif name in wanted[:number]:
                yield Problem(where, f'"{name}" stands there twice')


def _check_guardrail(guardrail: Guardrail, path: str) -> Iterator[Problem]:
    yield from check_name(guardrail.name, f"{path}.name")
    for key, kind in _OWN.items():
        if kind is not guardrail.kind and getattr(guardrail, key) != getattr(_PLAIN, key):
            yield Problem(f"{path}.{key}", f"is for {kind.value}, not for {guardrail.kind.value}")
    if guardrail.mode is GuardMode.REDACT and guardrail.kind not in _REDACTING:
        yield Problem(
            f"{path}.mode", f"{guardrail.kind.value} finds nothing that could be redacted; log or block it"
        )
    match guardrail.kind:
        case GuardKind.REGEX:
            yield from _check_expressions(guardrail.patterns, f"{path}.patterns")
        case GuardKind.PII:
            yield from _check_entities(guardrail.entities, f"{path}.entities")
        case GuardKind.TOOLS:
            yield from check_patterns(guardrail.allowed, f"{path}.allowed")
        case GuardKind.MAX_TOKENS if not 1 <= guardrail.limit <= _LARGEST_LIMIT:
            yield Problem(f"{path}.limit", f"{guardrail.limit} is not between 1 and {_LARGEST_LIMIT:,}")
        case GuardKind.HTTP:
            yield from _check_asked(guardrail, path)
        case _:
            return


def _check_expressions(patterns: Sequence[str], path: str) -> Iterator[Problem]:
    if not patterns:
        yield Problem(path, "is needed: regular expressions, one of which is found in what is refused")
    for number, pattern in enumerate(patterns):
        yield from check_tame_regex(pattern, f"{path}[{number}]")


def _check_entities(entities: Sequence[str], path: str) -> Iterator[Problem]:
    if not entities:
        yield Problem(path, f"is needed: what is looked for{known(PII_ENTITIES)}")
    for number, entity in enumerate(entities):
        if entity not in PII_ENTITIES:
            yield Problem(f"{path}[{number}]", f'unknown entity "{entity}"{known(PII_ENTITIES)}')
        elif entity in entities[:number]:
            yield Problem(f"{path}[{number}]", f'"{entity}" stands there twice')


def _check_asked(guardrail: Guardrail, path: str) -> Iterator[Problem]:
    if not is_url(guardrail.url):
        yield Problem(
            f"{path}.url", f'"{guardrail.url}" is not a URL such as https://moderation.example/check'
        )
    if not 0 < guardrail.timeout <= _LONGEST_TIMEOUT:
        yield Problem(
            f"{path}.timeout", f"{guardrail.timeout:g} s is not more than 0 and at most {_LONGEST_TIMEOUT:g}"
        )
