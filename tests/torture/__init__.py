"""The torture suite: hostile traffic on the callback's port, for oauth-helper and its peers side by side."""
