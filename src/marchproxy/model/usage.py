"""Usage: the tokens of one request, as every part counts them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input`: all of the prompt; `cached`: those of them that the provider had in its cache (Anthropic counts them
    beside the input, OpenAI within it; here they are within). `output`: all that was generated, reasoning included.
    """

    input: int = 0
    output: int = 0
    cached: int = 0

    @property
    def total(self) -> int:
        """What limits on tokens count."""
        return self.input + self.output
