"""The package in figures, beside those of others: what is promised of its shape is held, the rest is shown."""
