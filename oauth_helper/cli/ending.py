"""How a link ended, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oauth_helper.authorization import as_argument
from oauth_helper.cli.output import status_in_words
from oauth_helper.cli.voice import Voice
from oauth_helper.phrase import phrase
from oauth_helper.presentable import presentable

if TYPE_CHECKING:
    from oauth_helper.cli.narration import Narrator
    from oauth_helper.errors import StoppedError
    from oauth_helper.events import Linked


def say_how_it_ended(linked: Linked, name: str, narrator: Narrator) -> None:
    """Say what became of ``name``, where it ended well."""
    if narrator.progress.has_joined and linked.kept:
        narrator.say(phrase("Linked {name}: the other oauth-helper did.", name=name))
    elif linked.kept:
        account = presentable(linked.authorization.repo_user)
        if account:
            kept = phrase(
                "Kept {name} as it is, linked to the account {account}; --if-exists replace would link it again.",
                name=name,
                account=account,
            )
        else:
            kept = phrase("Kept {name} as it is; --if-exists replace would link it again.", name=name)
        narrator.say(kept)
    else:
        narrator.say(phrase("Linked {name}.", name=name))
    if not linked.authorization.works:
        status = status_in_words(linked.authorization)
        narrator.warn(phrase("ServiceStage says that it does not work yet: status {status}.", status=status))


def say_what_comes_next(name: str, *, in_sandbox: bool, quiet: bool) -> None:
    """Say what an authorization is good for."""
    voice = Voice(quiet=quiet)
    if in_sandbox:
        voice.say(phrase("Next: the same with your account, without --sandbox. This sandbox is gone."))
        return
    voice.say(
        phrase(
            "Next: in ServiceStage, choose {name} for the source of a component. `oauth-helper repos {argument}` shows "
            "the repositories that it can see.",
            name=presentable(name),
            argument=as_argument(presentable(name)),
        )
    )


def explain_stop(stopped: StoppedError, narrator: Narrator, name: str, *, in_sandbox: bool) -> None:
    """Say in the error what a signal has left undone, and what to do about it."""
    progress = narrator.progress
    asked = phrase(" while ServiceStage was asked to create {name}", name=name)
    if progress.is_deleting:
        asked = phrase(
            " while ServiceStage was asked to delete the authorization named {name}, which may be gone", name=name
        )
    stopped.nothing_created = not progress.has_redirect
    stopped.message += asked if progress.has_redirect else phrase(". Nothing was created")
    if progress.has_deleted:
        stopped.message += phrase(". The authorization that was named {name} is deleted", name=name)
    if not progress.has_redirect:
        return
    if in_sandbox:
        stopped.hint = phrase("The sandbox has ended too. Run the command again when you are ready.")
    elif progress.is_kept:
        stopped.hint = phrase(
            "The redirect is kept: `oauth-helper resume` finishes it within 10 minutes of its coming."
        )
    else:
        stopped.hint = phrase(
            "`oauth-helper show {name}` tells whether it exists. If not, run the command again.",
            name=as_argument(name),
        )
