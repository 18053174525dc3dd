"""By which ways the redirect may come, as the user wants it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from oauth_helper.language import Language, Preference

if TYPE_CHECKING:
    from oauth_helper.phrase import Phrase

_ENGLISH: Final = Preference(Language.ENGLISH)


@dataclass(frozen=True, slots=True)
class Ways:
    """By which ways the redirect may come."""

    browser: str = "auto"
    """``auto``, ``default``, ``chromium``, ``firefox``, a browser's path, or ``none``."""
    port: int | None = None
    """The listener's; None: any free one."""
    say: Callable[[Phrase], None] | None = None
    """Says the terminal prompt's words; None: no prompt, standard input is left alone."""
    keys: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    """What keys of the caller's do at that prompt, each with Enter behind it."""
    visitor: Callable[[str], Awaitable[None]] | None = None
    """Plays the user where there is no browser, in the sandbox."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    has_script: bool = False
    """Whether a script reads the events, and brings the address to a browser itself where it has to."""
    headless: bool = False
    """Whether a window of ours shows nothing: for tests and demonstrations."""
    preference: Preference = _ENGLISH
    """What the user reads on pages."""

    @property
    def has_prompt(self) -> bool:
        """Whether the user can paste into the terminal."""
        from oauth_helper.terminal import can_prompt  # noqa: PLC0415 - where nobody speaks, nobody is asked

        return self.say is not None and can_prompt()

    @property
    def is_apart(self) -> bool:
        """Whether a browser would come up where the user is not, and none was asked for."""
        from oauth_helper.browsers.surroundings import whereabouts  # noqa: PLC0415 - who wants no browser needs none

        return not self.demands_browser and whereabouts(self.environ).is_apart

    @property
    def demands_browser(self) -> bool:
        """Whether the user says which browser is to be opened."""
        return self.browser not in {"auto", "none"} or bool(self.environ.get("BROWSER"))

    @property
    def wants_window(self) -> bool:
        """Whether a window of our own is to be tried; who sets ``BROWSER`` has chosen another."""
        return self.demands_window or (self.browser == "auto" and not self.environ.get("BROWSER"))

    @property
    def demands_window(self) -> bool:
        """Whether nothing but a window of our own will do."""
        return self.browser not in {"auto", "default", "none"}
