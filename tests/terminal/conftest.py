"""A terminal, and a receiver for what is pasted into it."""

from terminal.pseudo_terminal import receiver, terminal

__all__ = ["receiver", "terminal"]
