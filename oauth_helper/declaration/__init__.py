"""What a file declares to stand, and what is to be done about it."""

from oauth_helper.declaration.entries import Entry, Method, parse_declaration
from oauth_helper.declaration.plan import Step, Verdict, check_steps, plan_steps

__all__ = ["Entry", "Method", "Step", "Verdict", "check_steps", "parse_declaration", "plan_steps"]
