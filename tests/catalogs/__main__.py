"""Bring the catalogs up to date with the sources: what is new is there to be translated, what is gone is gone."""

from __future__ import annotations

import sys

from babel.messages.pofile import read_po, write_po

from catalogs.messages import DOMAIN, PACKAGE, collect


def main() -> int:
    """Rewrite each catalog; return how many messages are left to be translated, 125 at most."""
    left = 0
    for path in sorted(PACKAGE.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po")):
        with path.open("rb") as file:
            catalog = read_po(file)
        catalog.update(collect(), no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, width=100, include_lineno=False, sort_by_file=True, ignore_obsolete=True)
        missing = [message.id for message in catalog if message.id and not message.string]
        left += len(missing)
        sys.stdout.write(f"{path.parts[-3]}: {len(catalog)} messages, {len(missing)} to be translated\n")
    return min(left, 125)


if __name__ == "__main__":
    sys.exit(main())
