"""The cache: answers that are kept for the very same request. In memory, bounded, pure.

`question` says which requests are the same, `answers` keeps what was answered, and `expected` knows whose answer a relay brings.
"""

from marchproxy.modules.ailb.cache.answers import Answers, Kept
from marchproxy.modules.ailb.cache.expected import Expectation, Expected
from marchproxy.modules.ailb.cache.question import Question, Wish, key_of, wish_of
from marchproxy.modules.ailb.cache.soundness import is_sound

__all__ = [
    "Answers", "Expectation", "Expected", "Kept", "Question", "Wish", "is_sound", "key_of", "wish_of",
]  # fmt: skip
