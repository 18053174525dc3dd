"""What the catalogs have to say: collected from the sources, and brought up to date with ``make catalogs``."""
