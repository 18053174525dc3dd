"""The pictures of the README, made from real runs in the sandbox."""
