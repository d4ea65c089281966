"""Pace: how often something may be done so that all of it takes no more than its share of a core. Pure."""

_WEIGHT = 0.2  # of the newest measurement


class Pace:
    """Learns what one time costs. `least` seconds between two times, `share` of a core (0 to 1) for all who do it."""

    def __init__(self, least: float, share: float) -> None:
        self._least, self._share = least, share
        self._cost = 0.0

    def took(self, seconds: float) -> None:
        """It was done once, and took so long."""
        self._cost += (seconds - self._cost) * _WEIGHT

    def pause(self, many: int = 1) -> float:
        """Seconds from one time to the next for each of so many."""
        return max(self._least, self._cost * many / self._share)
