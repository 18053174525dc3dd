"""Go through what must hold: ``make package`` through what is of the package, ``make release-check`` through all.

``PYTHONPATH=tests .venv-package/bin/python -m release checkout`` is the quick part.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from release import archives, building, changelog, checkout, description, documents, installations, unpacked_sdist
from release.checklist import Check, go_through

ROOT: Final = Path(__file__).parents[2]

OF_THE_CHECKOUT: Final = (
    Check("everything is committed", checkout.is_clean),
    Check("on the main branch", checkout.is_on_main),
    Check("the version is new", checkout.version_is_new),
    Check("the changelog is ready", changelog.is_ready),
    Check("the changelog tells the schema", documents.schema_is_told),
    Check("the catalogs are complete", documents.catalogs_are_complete),
    Check("the documents are true", documents.documents_are_true),
)
OF_THE_PACKAGE: Final = (
    Check("wheel and sdist are built", building.are_built),
    Check("the wheel holds what it must", archives.wheel_is_complete),
    Check("the sdist holds what it must", archives.sdist_is_complete),
    Check("built elsewhere they are the same", building.are_reproducible),
    Check("the metadata is true", description.metadata_is_true),
    Check("twine takes them", description.an_index_takes_it),
    Check("the description renders", description.description_renders),
    Check("installed by pip it works", installations.by_pip),
    Check("where nobody may write it works", installations.read_only),
    Check("from a zip archive it works", installations.from_a_zip_archive),
    Check("by pipx it works", installations.by_pipx),
    Check("by uvx it works", installations.by_uvx),
    Check("the sdist runs its tests", unpacked_sdist.runs_its_tests),
)
OF_THE_TYPES: Final = (Check("the types are complete", documents.types_are_complete),)
PARTS: Final = {"checkout": OF_THE_CHECKOUT, "package": OF_THE_PACKAGE, "types": OF_THE_TYPES}


def main() -> int:
    """Return 0 only if all holds."""
    parser = argparse.ArgumentParser(prog="release", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all of them unless one is named")
    named = parser.parse_args().parts or PARTS
    if unknown := [part for part in named if part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")
    checks = [check for part in named for check in PARTS[part]]
    refused = go_through(checks, ROOT, sys.stdout, sys.stderr)
    if refused:
        sys.stderr.write(f"{refused} of {len(checks)} do not hold.\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
