"""What a registry was seen to support; learnt from real answers, never assumed (D-22)."""

import time
from dataclasses import dataclass, field

# Registries are upgraded while a service runs; a wrong "no" should not last for ever.
_REMEMBER_S = 3600.0


@dataclass(slots=True)
class Capabilities:
    """Facts about one repository, each forgotten after an hour."""

    _facts: dict[str, tuple[bool, float]] = field(default_factory=dict[str, tuple[bool, float]])

    def learn(self, name: str, *, supported: bool) -> None:
        """Remember whether ``name`` works."""
        self._facts[name] = (supported, time.monotonic())

    def known(self, name: str) -> bool | None:
        """Return what was learnt about ``name``, or None."""
        supported, when = self._facts.get(name, (None, 0.0))
        return None if supported is None or time.monotonic() - when > _REMEMBER_S else supported
