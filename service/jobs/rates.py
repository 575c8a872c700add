"""How fast a worker is: a mean over the last seconds, in which older ones count less."""

from collections.abc import Sequence

from service.jobs.outcome import Used

HALF_LIFE = 5.0  # seconds
NAMES = ("images", "calls", "throttled")


class Rates:
    """Counts events a second."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._rates = dict.fromkeys(NAMES, 0.0)

    def after(self, used: Sequence[Used], now: float) -> dict[str, float]:
        """Return the rates after what was used since the last time.

        Args:
            used: since then.
            now: in seconds, of any steady clock.
        """
        passed = 0.0 if self._last is None else now - self._last
        if passed > 0:
            kept = 0.5 ** (passed / HALF_LIFE)
            for name in NAMES:
                rate = sum(getattr(one, name) for one in used) / passed
                self._rates[name] = kept * self._rates[name] + (1 - kept) * rate
        self._last = now
        return {name: round(rate, 3) for name, rate in self._rates.items()}
