"""The desk where every way brings the redirect it caught, and how the story's end is told."""

from oauth_helper.desk.ending import Ending
from oauth_helper.desk.judging import Desk

__all__ = ["Desk", "Ending"]
