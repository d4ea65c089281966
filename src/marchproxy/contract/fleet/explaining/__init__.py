"""Explaining: where a request or a connection would go, and why, as `marchproxy explain` and the manager tell it."""

from marchproxy.contract.fleet.explaining.explanation import Explanation, InModule, as_json_data, find_out
from marchproxy.contract.fleet.explaining.question import NotAQuestion, Question, read_question
from marchproxy.contract.fleet.explaining.secrets import without_secrets
from marchproxy.contract.fleet.explaining.telling import Step, conclusion, steps

__all__ = [
    "Explanation",
    "InModule",
    "NotAQuestion",
    "Question",
    "Step",
    "as_json_data",
    "conclusion",
    "find_out",
    "read_question",
    "steps",
    "without_secrets",
]
