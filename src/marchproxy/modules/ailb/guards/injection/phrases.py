"""Phrases by which models are asked to forget what they were told, in several languages, and how much each of them says. Pure.

Text is looked at as `plain` makes it: in small letters, without accents, with single spaces.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from marchproxy.modules.ailb.guards.injection.hidden import plain
from marchproxy.modules.ailb.guards.span import Span

_FEW = r"(?:[^\s.!?]{1,30}\s){0,5}?"  # words between
#: Characters that a phrase may have.
LONGEST = 500


class Phrase(NamedTuple):
    """`signs`: one of these stands in every text that has it; they are looked for first, since that is fast."""

    signs: tuple[str, ...]
    form: re.Pattern[str]
    kind: str
    weight: float


def _of(kind: str, weight: float, signs: str, *forms: str) -> Phrase:
    return Phrase(tuple(signs.split("|")), re.compile("|".join(forms)), kind, weight)


def _forget(language: str, verbs: str, things: str, articles: str = "") -> Phrase:
    """To forget what one was told, in words that have spaces between them. `articles` tell a language from its neighbours."""
    first, then = plain(verbs).split(), plain(things).split()
    article = rf"(?:{'|'.join(plain(articles).split())})\s" if articles else ""
    form = rf"(?:{'|'.join(first)})[^\s.!?]{{0,8}}\s{article}{_FEW}(?:{'|'.join(then)})"
    return Phrase(tuple(first), re.compile(form), f"override_{language}", 1.0)


def _near(language: str, first: str, then: str) -> Phrase:
    """One of the first words shortly before one of the others."""
    one, other = plain(first).split(), plain(then).split()
    form = rf"(?:{'|'.join(one)})[^.!?。]{{0,24}}?(?:{'|'.join(other)})"
    return Phrase(tuple(one), re.compile(form), f"override_{language}", 1.0)


_THINGS = (
    r"(?:instruction|prompt|rule|guideline|direction|command|restriction|polic|constraint|programming|safety)"
)
_FORGET = r"(?:ignor(?:e|ing)|disregard|forget|overrid(?:e|ing)|bypass|neglect)\s(?:(?:about|everything|of|in|and|any|all)\s){0,3}"
_EARLIER = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|initial|original|system|all|your|these|those)\s"
)
_ENGLISH = (
    _of(
        "override_en", 1.0, "ignor|disregard|forget|overrid|bypass|neglect",
        rf"{_FORGET}(?:the\s|my\s|of\s){{0,2}}(?:{_EARLIER}){{1,4}}(?:[^\s.!?]{{1,20}}\s){{0,2}}?{_THINGS}",
        r"(?:forget|ignore|disregard)\s(?:everything|anything|all|whatever)\s(?:that\s)?(?:is\s|was\s)?"
        r"(?:above|before|prior|previous|(?:you|i)\s(?:have\s)?(?:were|was|been|are)?\s?(?:told|said|learn))",
    ),
    _of("override_en", 0.6, "ignor|disregard|forget|overrid|bypass", rf"{_FORGET}the\s(?:[^\s.!?]{{1,20}}\s)?{_THINGS}"),
    _of(
        "secrets", 0.7, "system prompt|system message|initial instruction|hidden instruction|your instructions|initial prompt",
        r"(?:reveal|show|print|repeat|output|display|leak|dump|disclose|tell me|what (?:is|are|were)|give me|write out)\s"
        rf"{_FEW}(?:system (?:prompt|message|instruction)|(?:initial|hidden|original|secret) (?:prompt|instruction)|your instructions)",
    ),
    _of(
        "secrets", 0.5, "verbatim|word for word|above this line|starting with",
        rf"(?:repeat|print|output|copy)\s{_FEW}(?:everything|text|words|all|lines?)\s{_FEW}(?:above|verbatim|word for word|starting with)",
    ),
    _of(
        "new_role", 0.6, "you are now|from now on|act as|behave as|pretend|simulate",
        r"you are now", r"from now on,? you(?: are|'re| must)", r"pretend (?:to be|that you|you)",
        r"(?:act|behave) as (?:if|though|an? (?:unrestricted|uncensored|evil|unfiltered))", r"simulate an? un(?:restricted|censored)",
    ),
    _of(
        "jailbreak", 0.6, "do anything now|jailbr| mode |restrictions|filters|censor|filtered|ethical",
        r"do anything now", r"jailbr(?:eak|oken)", r"(?:developer|god|dan|debug) mode (?:enabled|on|activated)",
        r"(?:enable|enter|activate) (?:developer|god|dan) mode", r"un(?:filtered|censored) (?:ai|model|assistant)",
        r"(?:without|no|free (?:of|from)) (?:any )?(?:restrictions|filters|censorship|ethical guidelines)",
    ),
    _of(
        "no_rules", 0.6, "not bound by|exempt from|longer apply|not apply",
        r"(?:not bound by|exempt from)\s(?:any\s|your\s|the\s)?(?:rules|guidelines|polic|restrictions)",
        r"(?:guidelines|rules|policies|restrictions) (?:do not|don't|no longer) apply",
    ),
    _of(
        "new_instructions", 0.5, "instruction|end of |override",
        r"(?:new|real|actual|updated) instructions?\s?:", r"end of (?:the |your )?(?:system )?(?:prompt|instructions?)", r"(?:system|admin|root) override",
    ),
    _of(
        "in_secret", 0.5, " the user", r"(?:do not|don't|never|without) (?:tell|telling|inform|informing|mention|asking)\s(?:this to )?the user",
    ),
)  # fmt: skip
_OTHERS = (
    _forget("de", "ignorier vergiss vergesst missachte übergehe", "anweisung instruktion anleitung regeln vorgaben befehl systemprompt prompt"),
    _forget("fr", "ignor oubli contourne", "instruction consigne règle directive ordres prompt", "tout toutes tous les la le vos tes ces mes"),
    _forget("es", "ignor olvid omit", "instruccion indicacion reglas órdenes directrices prompt", "toda todas todo todos las los la el tus sus cualquier"),
    _forget("pt", "ignor esqueç desconsider", "instruç regras ordens diretrizes comandos prompt", "toda todas todos as os suas tuas quaisquer qualquer"),
    _forget("it", "ignora dimentica trascura", "istruzion regole direttive ordini comandi prompt", "tutte tutti le i la il gli ogni"),
    _forget("nl", "negeer vergeet", "instructie aanwijzing regels opdracht richtlijn prompt"),
    _forget("pl", "zignoruj ignoruj zapomnij pomiń", "instrukcj polecen poleceń zasad wytyczn reguł"),
    _forget("ru", "игнорируй игнорируйте проигнорируй забудь отмени", "инструкц указани правил команд промпт"),
    _forget("uk", "ігноруй проігноруй забудь", "інструкц вказівк правил команд"),
    _near("tr", "talimat kurallar yönerge", "yoksay unut görmezden dikkate"),
    _near("zh", "忽略 无视 無視 忘记 忘記 忘掉 不要理会", "指令 指示 提示 规则 規則 说明 要求"),
    _near("ja", "指示 命令 プロンプト ルール 制約", "無視 忘れ 従わない"),
    _near("ko", "지시 명령 프롬프트 규칙 지침", "무시 잊"),
    _near("ar", "تجاهل انس", "تعليمات أوامر الأوامر القواعد"),
    _near("hi", "निर्देश नियम", "अनदेखा नज़रअंदाज़ भूल"),
)  # fmt: skip
#: Marks of roles, as templates of chats have them.
_MARKS = (
    _of(
        "role_mark", 1.0, "<|",
        r"<\|(?:im_start|im_end|system|user|assistant|(?:start|end)_header_id|eot_id|endoftext|begin_of_text|channel|message)\|?>",
    ),
    _of("role_mark", 0.6, "inst]|<<sys>>|_of_turn>", r"\[/?inst\]", r"<<sys>>", r"<(?:start|end)_of_turn>"),
    _of("role_mark", 0.5, "system>|instructions>|system_prompt>", r"</?(?:system|system_prompt|instructions)>"),
    _of(
        "role_mark", 0.5, "### sys|### inst|human: |system: ",
        r"### (?:system|instructions?)\s?:", r"(?:^|\s)human: .{0,400}?\sassistant:", r"(?:^|[.!?\"')\]]\s)system: ",
    ),
)  # fmt: skip
_TABLE = (*_ENGLISH, *_OTHERS, *_MARKS)


def find_phrases(text: str) -> Iterator[Span]:
    """The phrases of a text that is `plain`; each of the table at most once."""
    for signs, form, kind, weight in _TABLE:
        if _has(text, signs):
            match = form.search(text)
            if match:
                yield Span(*match.span(), kind, weight)


def _has(text: str, signs: Sequence[str]) -> bool:
    for sign in signs:  # noqa: SIM110 - a generator would take as long as the search itself
        if sign in text:
            return True
    return False
