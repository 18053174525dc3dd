"""Bring the catalogs up to date with the sources: what is new is there to be translated, what is gone is gone."""

from __future__ import annotations

import sys
from io import BytesIO, StringIO

from babel.messages.pofile import read_po, write_po

from catalogs.messages import DOMAIN, PACKAGE, collect


def main() -> int:
    """Rewrite each catalog; return how many messages are left to be translated, 125 at most."""
    left = 0
    for path in sorted(PACKAGE.glob(f"locale/*/LC_MESSAGES/{DOMAIN}.po")):
        text = up_to_date(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
        catalog = read_po(StringIO(text))
        missing = [message.id for message in catalog if message.id and (message.fuzzy or not message.string)]
        left += len(missing)
        sys.stdout.write(f"{path.parts[-3]}: {len(catalog)} messages, {len(missing)} to be translated\n")
    return min(left, 125)


def up_to_date(text: str) -> str:
    """Return a catalog's file with the messages there are now, its own head kept as it is."""
    catalog = read_po(StringIO(text))
    catalog.update(collect(), no_fuzzy_matching=True)
    catalog.obsolete.clear()
    written = BytesIO()
    write_po(written, catalog, width=100, omit_header=True, include_lineno=False, sort_by_file=True)
    head, _, _ = text.partition("\n\n")
    return f"{head}\n\n{written.getvalue().decode()}"


if __name__ == "__main__":
    sys.exit(main())
