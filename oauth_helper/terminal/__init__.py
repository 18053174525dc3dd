"""The prompt that takes a pasted address from the terminal."""

from oauth_helper.terminal.mode import can_prompt

__all__ = ["can_prompt"]
