"""Moderation: a guardrail that asks somebody else, in the words of OpenAI's moderations. Pure.

`POST {"input": [text, …]}` to the guardrail's `url`; the answer is `{"results": [{"flagged": true, "categories": {"violence": true}}]}`,
of one result for all texts or one for each. Who is asked for what say headers. Any other answer is none.
https://platform.openai.com/docs/api-reference/moderations
"""

from marchproxy.model.ai import GuardMode, Guardrail
from marchproxy.modules.ailb.dialects.body import BadJson, dump, load_object
from marchproxy.modules.ailb.dialects.failure import Failure, Reason
from marchproxy.modules.ailb.guards.checking import Ask, Checking, Notes, Said, Subject

#: Bytes of an answer.
LONGEST_ANSWER = 256 * 1024
_MOST_CATEGORIES = 8
_LONGEST_CATEGORY = 64


class ModerationGuard:
    """Asks, and refuses what is flagged."""

    reads = True

    def __init__(self, guardrail: Guardrail) -> None:
        self.guardrail = guardrail

    def check(self, subject: Subject, notes: Notes) -> Checking[Failure | None]:
        """As a TextGuard's."""
        texts = [passage.text for passage in subject.passages]
        if not texts:
            return None
        said = yield Ask(self.guardrail, dump({"input": texts}))
        name, only_log = self.guardrail.name, self.guardrail.mode is GuardMode.LOG
        if said is None:
            notes.add(name, "no_answer")
            if only_log or self.guardrail.fail_open:
                return None
            return Failure(Reason.OVERLOADED, f"the guardrail {name!r} does not answer: try again in 1 s")
        if not said.flagged:
            return None
        notes.add(name, said.words or "flagged")
        if only_log:
            return None
        about = f": {said.words}" if said.words else ""
        return Failure(Reason.GUARDED, f"the guardrail {name!r} refuses this request{about}")


def understand(data: bytes) -> Said | None:
    """What an answer says; None: it is none."""
    try:
        results = load_object(data).get("results")
    except BadJson:
        return None
    if not isinstance(results, list) or not results:
        return None
    found: dict[str, None] = {}
    flagged = False
    for result in results:
        verdict = result.get("flagged") if isinstance(result, dict) else None
        if not isinstance(verdict, bool):
            return None
        flagged = flagged or verdict
        categories = result.get("categories")
        if verdict and isinstance(categories, dict):
            found |= {name: None for name, is_so in categories.items() if is_so is True}
    names = [name[:_LONGEST_CATEGORY] for name in found if name.isprintable()]
    return Said(flagged, ", ".join(names[:_MOST_CATEGORIES]))
