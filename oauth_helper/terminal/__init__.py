"""The prompt that takes a pasted address from the terminal."""

from oauth_helper.terminal.mode import can_prompt
from oauth_helper.terminal.prompt import Patience, TerminalPrompt

__all__ = ["Patience", "TerminalPrompt", "can_prompt"]
