"""Faults of guardrails, and of the expressions that they look for."""

from dataclasses import replace

import pytest

from marchproxy.model.ai import AiRoute, GuardKind, GuardMode, Guardrail
from marchproxy.model.checks.guardrails import check_guardrails
from marchproxy.model.checks.regexes import check_tame_regex
from marchproxy.model.route import Route

REGEX = Guardrail("words", GuardKind.REGEX, patterns=("secret",))
PII = Guardrail("pii", GuardKind.PII, GuardMode.REDACT, entities=("email", "iban"))
INJECTION = Guardrail("tricks", GuardKind.INJECTION, GuardMode.LOG)
LENGTH = Guardrail("length", GuardKind.MAX_TOKENS, limit=4096)
TOOLS = Guardrail("tools", GuardKind.TOOLS, allowed=("search", "get_*"))
ASKED = Guardrail("asked", GuardKind.HTTP, url="https://judge.example/check", timeout=0.5, fail_open=True)
ALL = [REGEX, PII, INJECTION, LENGTH, TOOLS, ASKED]


def named(*names):
    return Route("r", ai=AiRoute(guardrails=names))


def test_sound_guardrails():
    assert list(check_guardrails(ALL, [Route("s"), named("pii", "words"), named()])) == []
    assert list(check_guardrails([replace(TOOLS, allowed=())], [])) == []  # no tool at all
    assert list(check_guardrails([replace(LENGTH, mode=GuardMode.REDACT)], [])) == []  # is lowered


@pytest.mark.parametrize(
    ("faulty", "paths", "message"),
    [
        (replace(REGEX, name="a b"), ["name"], '"a b" is not a name'),
        (replace(REGEX, entities=("email",), limit=1, url="x"), ["entities", "limit", "url"], "is for pii, not for regex"),
        (replace(PII, patterns=("a",), allowed=("b",)), ["patterns", "allowed"], "is for regex, not for pii"),
        (replace(PII, timeout=2.0, fail_open=True), ["timeout", "fail_open"], "is for http, not for pii"),
        (replace(TOOLS, mode=GuardMode.REDACT), ["mode"], "tools finds nothing that could be redacted; log or block it"),
        (replace(REGEX, patterns=()), ["patterns"], "is needed: regular expressions"),
        (replace(REGEX, patterns=("a", "(")), ["patterns[1]"], '"(" is not a regular expression'),
        (replace(PII, entities=()), ["entities"], "is needed: what is looked for; known: api_key, credit_card, email"),
        (replace(PII, entities=("name", "iban", "iban")), ["entities[0]", "entities[2]"], 'unknown entity "name"; known: api_key'),
        (replace(TOOLS, allowed=("a", "a")), ["allowed[1]"], '"a" stands there twice'),
        (replace(LENGTH, limit=0), ["limit"], "0 is not between 1 and 10,000,000"),
        (replace(ASKED, url="judge"), ["url"], '"judge" is not a URL such as'),
        (replace(ASKED, url=""), ["url"], '"" is not a URL such as'),
        (replace(ASKED, timeout=0.0), ["timeout"], "0 s is not more than 0 and at most 30"),
    ],
)  # fmt: skip
def test_faults(faulty, paths, message):
    found = list(check_guardrails([faulty], []))
    assert sorted(problem.path for problem in found) == sorted(f"guardrails[0].{path}" for path in paths)
    assert any(problem.message.startswith(message) for problem in found), found


def test_names():
    found = list(check_guardrails([REGEX, REGEX], [Route("s"), named("words", "pi", "words")]))
    assert [(problem.path, problem.message) for problem in found] == [
        ("guardrails[1].name", "the same as guardrails[0].name"),
        ("routes[1].ai.guardrails[1]", 'no guardrail "pi"; known: words'),
        ("routes[1].ai.guardrails[2]", '"words" stands there twice'),
    ]


@pytest.mark.parametrize(
    "tame",
    [
        r"\bsk-[A-Za-z0-9]{20,64}\b",
        "(?i)project (red|blue)",
        "[0-9]{1,9} {0,3}%",
        "(ab){3,40}",
        "(a|b){1,64}",  # one class of characters
        "x?y??z",
        "[a-z]{1,70}@[a-z]{1,70}",
        "(red|blue){1,10}",
        "[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){1,7}",
    ],
)
def test_tame_expressions(tame):
    assert list(check_tame_regex(tame, "p")) == []


@pytest.mark.parametrize(
    ("wild", "message"),
    [
        (
            "[0-9]+%",
            "repeats without a bound, for which a long text could take ages; write {1,64} or the like",
        ),
        ("(a{1,3}){2,}b", "repeats without a bound"),
        (".*x", "repeats without a bound"),
        ("a*?b", "repeats without a bound"),
        ("(a{0,9}){9}b", "can match in more than 5,000 ways at one place"),
        ("((a?a){5}){5}b", "can match in more than 5,000 ways"),
        ("(red|blue){1,20}x", "can match in more than 5,000 ways"),
        ("a{0,99}a{0,99}b", "can match in more than 5,000 ways"),
        ("(x|y|zz){2,4000}", "can match in more than 5,000 ways"),
        (r"(a)\1", "refers back to a group, which RE2 does not know"),
        ("a(?=b)", "looks ahead or behind"),
        ("(?<!a)b", "looks ahead or behind"),
        ("a++b", "has a possessive repetition"),
        ("(?>a|ab)c", "has an atomic group"),
        ("a?", "matches nothing at all, so it is found everywhere"),
        ("", "a regular expression has 1 to 1000 characters"),
    ],
)
def test_wild_expressions(wild, message):
    (problem,) = check_tame_regex(wild, "p")
    assert problem.message.removeprefix(f'"{wild}" ').startswith(message)
