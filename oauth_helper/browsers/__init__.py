"""The user's browser: found, and opened on an address."""
