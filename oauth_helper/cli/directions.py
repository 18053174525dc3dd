"""How the user's browser gets to the page, and what to do where it cannot: words, each with an address or command."""

from __future__ import annotations

from urllib.parse import urlsplit

from oauth_helper.events import Waiting
from oauth_helper.phrase import NOTHING, Phrase, phrase
from oauth_helper.whereabouts import Place, Whereabouts

Direction = tuple[Phrase, str]
"""What to do, and the address or the command with which."""


def directions(where: Whereabouts, waiting: Waiting, *, takes_pastes: bool) -> list[Direction]:
    """Return what a user does for whom no browser was opened, what comes first first."""
    return [*_to_the_page(where, waiting), (_without_the_page(takes_pastes=takes_pastes), waiting.authorization_url)]


def while_unreached(where: Whereabouts, waiting: Waiting, *, takes_pastes: bool) -> Direction:
    """Return what to do while nothing has reached the page at all."""
    command = where.way_to(_port(waiting))
    match command, takes_pastes:
        case "", True:
            said = phrase(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "paste the address where it ends here:"
            )
        case "", False:
            said = phrase(
                "Nothing has reached me yet. If your browser cannot reach the page, authorize at this address, and "
                "hand the address where it ends to `oauth-helper deliver`:"
            )
        case _, True:
            said = phrase(
                "Nothing has reached me yet. If your browser runs on another machine, paste the address where it ends "
                "here, or first run there:"
            )
        case _:
            said = phrase(
                "Nothing has reached me yet. If your browser runs on another machine, hand its end to "
                "`oauth-helper deliver`, or first run there:"
            )
    return said, command or waiting.authorization_url


def beside_the_page(where: Whereabouts, *, takes_pastes: bool) -> Phrase:
    """Return what to know where the page was opened in the user's own browser; mostly nothing."""
    if where.place is Place.WSL:
        said = phrase("A browser of Windows reaches it through WSL's localhost forwarding, which is usually on.")
    elif where.is_forwarded:
        said = phrase("Your editor forwards the page's port to your machine; one that runs in a browser cannot.")
    else:
        return NOTHING
    return said + phrase(" If the page does not come up, press a and Enter.") if takes_pastes else said


def _to_the_page(where: Whereabouts, waiting: Waiting) -> list[Direction]:
    command = where.way_to(_port(waiting))
    match where.place:
        case Place.SSH:
            return [
                (phrase("First, on the machine in front of you, run this, and leave it open:"), command),
                (phrase("Then open this page in a browser there:"), waiting.listener),
            ]
        case Place.CODESPACE if command:
            return [
                (phrase("First, on the machine in front of you, run this, unless VS Code is open there:"), command),
                (phrase("Then open this page in a browser there:"), waiting.listener),
            ]
        case Place.CODESPACE | Place.GITPOD | Place.DEV_CONTAINER:
            ports = phrase(
                "Open this page in your browser; your editor forwards its port to your machine (view Ports):"
            )
            return [(ports, waiting.listener)]
        case Place.CONTAINER:
            shared = phrase("Open this page, if your browser reaches this container's own 127.0.0.1 (host network):")
            return [(shared, waiting.listener)]
        case Place.WSL:
            return [(phrase("Open this page in a browser, of Windows too:"), waiting.listener)]
        case _:
            return [(phrase("Open this page in a browser on this machine:"), waiting.listener)]


def _without_the_page(*, takes_pastes: bool) -> Phrase:
    if takes_pastes:
        return phrase("Or authorize in any browser, and paste the address where it ends into that page, or here:")
    return phrase(
        "Or authorize in any browser, and paste the address where it ends into that page, or hand it to "
        "`oauth-helper deliver`:"
    )


def _port(waiting: Waiting) -> int:
    return urlsplit(waiting.listener).port or 0
