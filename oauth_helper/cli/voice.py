"""Say something to people on standard error, in their language."""

from __future__ import annotations

from oauth_helper.cli.colour import coloured
from oauth_helper.cli.error_stream import ErrorStream
from oauth_helper.cli.speech import in_words
from oauth_helper.phrase import Phrase, phrase


class Voice:
    """What a command says besides its result."""

    def __init__(self, *, quiet: bool) -> None:
        self.is_quiet = quiet
        """Whether the user wants to hear of errors alone, and of what must be done."""
        self.stream: ErrorStream = ErrorStream()

    def say(self, words: Phrase) -> None:
        """Say something, unless the user wants quiet."""
        if not self.is_quiet:
            self.insist(words)

    def insist(self, words: Phrase) -> None:
        """Say something that the user needs even in quiet."""
        self.stream.words(in_words(words))

    def whole(self, text: str) -> None:
        """Show an address or a command, on a line of its own."""
        self.stream.whole(text)

    def warn(self, message: Phrase) -> None:
        """Say a warning, unless the user wants quiet."""
        if not self.is_quiet:
            self.insist_on_a_warning(message)

    def insist_on_a_warning(self, message: Phrase) -> None:
        """Say a warning even in quiet."""
        self._say_marked(phrase("warning:"), message, "yellow")

    def report(self, message: Phrase, hint: Phrase) -> None:
        """Say an error, and what to do next."""
        self._say_marked(phrase("error:"), message, "red")
        self._say_marked(phrase("hint:"), hint)

    def _say_marked(self, mark: Phrase, words: Phrase, colour: str | None = None) -> None:
        said = in_words(mark)
        shown = coloured(said, self.stream.stream, colour)
        self.stream.words(in_words(words), mark=f"{said} ", shown_mark=f"{shown} ")
