"""Restart: when a part that died is started again. Pure."""

from dataclasses import dataclass

from marchproxy.kit.backoff import Backoff


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often a part died in a row. One that lived for `calm` seconds begins anew."""

    in_a_row: int = 0
    calm: float = 30.0
    backoff: Backoff = Backoff(initial=0.5, maximum=15.0)

    def another(self, *, lived: float, roll: float) -> "tuple[Deaths, float]":
        """Count a death after so many seconds of life; return how long to wait: not at all the first time."""
        before = 0 if lived >= self.calm else self.in_a_row
        pause = 0.0 if before == 0 else self.backoff.delay(before - 1, roll)
        return Deaths(before + 1, self.calm, self.backoff), pause
