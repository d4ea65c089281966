"""Keys to services, which nobody should tell a language model: by what their issuers begin them with. Pure."""

import re
from collections.abc import Iterator

#: Characters of what is found, at most.
LONGEST = 4096
_KINDS = (
    r"AKIA[0-9A-Z]{16}",  # AWS
    r"ASIA[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36,255}",  # GitHub
    r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    r"glpat-[A-Za-z0-9_-]{20,64}",  # GitLab
    r"xox[abeprs]-[A-Za-z0-9-]{10,250}",  # Slack
    r"AIza[0-9A-Za-z_-]{35}",  # Google
    r"hf_[A-Za-z0-9]{34}",  # Hugging Face
    r"sk_live_[A-Za-z0-9]{16,128}",  # Stripe
    r"rk_live_[A-Za-z0-9]{16,128}",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}",  # SendGrid
    r"npm_[A-Za-z0-9]{36}",
    r"pypi-AgE[A-Za-z0-9_-]{50,1000}",
    r"eyJ[A-Za-z0-9_-]{10,400}\.eyJ[A-Za-z0-9_-]{10,1600}\.[A-Za-z0-9_-]{20,700}",  # JSON Web Tokens
)
# each begins with a literal, for which expressions look fast
_FORMS = tuple(re.compile(f"{kind}(?![A-Za-z0-9_])") for kind in _KINDS)
#: OpenAI, Anthropic, ourselves, and whoever speaks their APIs.
_SK = re.compile(r"sk-[A-Za-z0-9_-]{20,250}")
_PART = re.compile("[-_]")
_PRIVATE = re.compile(
    r"-----BEGIN (?:[A-Z0-9]{2,12} ){0,2}PRIVATE KEY-----[A-Za-z0-9+/=\s\\:,.-]{0,3900}?"
    r"(?:-----END [A-Z0-9 ]{0,26}PRIVATE KEY-----|\Z)"
)


def find_keys(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Keys of the usual services, JSON Web Tokens and private keys."""
    for form in _FORMS:
        for match in form.finditer(text, start, stop):
            if _begins(text, match.start()):
                yield match.span()
    for match in _SK.finditer(text, start, stop):
        if _begins(text, match.start()) and _is_random(match[0]):
            yield match.span()
    yield from (match.span() for match in _PRIVATE.finditer(text, start, stop))


def _begins(text: str, at: int) -> bool:
    return not at or not (text[at - 1].isalnum() or text[at - 1] in "_-")


def _is_random(key: str) -> bool:
    """Whether it is no row of words: some part of it has letters and digits."""
    return any(not part.isalpha() and not part.isdigit() for part in _PART.split(key) if part)
