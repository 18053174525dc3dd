"""What is started as a process of its own: the scripts of others, and those that use our Python API."""
