"""The prompt that takes a pasted address from the terminal."""

from oauth_helper.terminal.mode import HAS_SETTINGS, can_prompt, hidden_typing

__all__ = ["HAS_SETTINGS", "can_prompt", "hidden_typing"]
