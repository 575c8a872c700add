"""How fast a worker is: a mean over the last seconds, in which older ones count less."""

from service.jobs.engine.outcome import Used

HALF_LIFE = 5.0  # seconds
NAMES = ("images", "calls", "throttled")


class Rates:
    """Counts events a second."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._counts = dict.fromkeys(NAMES, 0)
        self._rates = dict.fromkeys(NAMES, 0.0)

    def after(self, used: Used, now: float) -> dict[str, float]:
        """Return the rates at a moment.

        Args:
            used: in all, by then.
            now: in seconds, of any steady clock.
        """
        passed = 0.0 if self._last is None else now - self._last
        counts = {name: getattr(used, name) for name in NAMES}
        if passed > 0:
            kept = 0.5 ** (passed / HALF_LIFE)
            for name in NAMES:
                rate = (counts[name] - self._counts[name]) / passed
                self._rates[name] = kept * self._rates[name] + (1 - kept) * rate
        self._last, self._counts = now, counts
        return {name: round(rate, 3) for name, rate in self._rates.items()}
