"""The wheel and the sdist hold the source files and nothing else; whatever else is in them, or is not, is refused.

``make package`` goes on from here: it builds them as a release does, installs them wherever people do, and runs them.
"""

import gettext
import io
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from release.archives import (
    NEEDED,
    PACKAGE,
    read_sdist,
    read_wheel,
    sdist_in,
    sdist_is_complete,
    wheel_in,
    wheel_is_complete,
)
from release.building import build, copy_sources, must_be_alike
from release.checklist import RefusalError
from release.commands import surroundings
from release.description import metadata_is_true, metadata_of
from trove_classifiers import classifiers

from oauth_helper.version import VERSION

ROOT = Path(__file__).parent.parent
CATALOG = f"{PACKAGE}locale/zh_CN/LC_MESSAGES/oauth_helper.mo"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources without a repository, and in its ``dist/`` both as they are built there."""
    folder = tmp_path_factory.mktemp("sources")
    copy_sources(ROOT, folder)
    build(folder, folder / "dist", surroundings(folder.parent), "--no-isolation")
    return folder


@pytest.fixture
def sources(built: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    shutil.copytree(built, tmp_path / "sources")
    return tmp_path / "sources"


def rewritten(wheel: Path, changed: dict[str, bytes | None]) -> None:
    """Put files into a wheel, in place of those of the same name; take out what is None."""
    files: dict[str, bytes | None] = {**read_wheel(wheel), **changed}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            if content is not None:
                archive.writestr(name, content)


def test_both_hold_the_sources_and_nothing_else(built: Path) -> None:
    assert wheel_is_complete(built).endswith(" files")
    assert sdist_is_complete(built).endswith(" files")
    wheel = read_wheel(wheel_in(built / "dist"))
    assert {name.partition("/")[0] for name in wheel} == {"oauth_helper", f"oauth_helper-{VERSION}.dist-info"}
    assert not [name for name in wheel if name.endswith((".po", ".pyc")) or "test" in name]
    sdist = read_sdist(sdist_in(built / "dist"))
    assert {".ci/run", ".gitignore", "Makefile", "tests/conftest.py", "CONTRIBUTING.md"} <= sdist.keys()
    assert not [name for name in sdist if name.endswith((".mo", ".pyc"))]


def test_what_is_no_module_is_there_too(built: Path) -> None:
    wheel = read_wheel(wheel_in(built / "dist"))
    assert {PACKAGE + name for name in NEEDED} <= wheel.keys()
    assert len([name for name in wheel if name.startswith(f"{PACKAGE}listener/templates/")]) > 10
    said = gettext.GNUTranslations(io.BytesIO(wheel[CATALOG]))
    assert said.gettext("Commands") == "命令"
    assert said.info()["pot-creation-date"] == "1970-01-01 00:00+0000", "else no two builds are the same"


def test_the_metadata_is_that_of_the_project_and_an_index_knows_its_words(built: Path) -> None:
    assert metadata_is_true(built).endswith(" fields")
    metadata = metadata_of(wheel_in(built / "dist"))
    assert set(metadata.get_all("Classifier", [])) <= set(classifiers)
    assert metadata["Description-Content-Type"] == "text/markdown"


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"tests/test_words.py": b""}, "has tests/test_words.py"),
        ({f"{PACKAGE}notes.txt": b"", f"{PACKAGE}more.txt": b""}, f"has {PACKAGE}more.txt and 1 more"),
        ({CATALOG: None}, f"has no {CATALOG}"),
        ({f"{PACKAGE}py.typed": None}, f"has no {PACKAGE}py.typed"),
        ({f"{PACKAGE}version.py": b"VERSION = 0"}, f"has another {PACKAGE}version.py than the sources"),
    ],
    ids=str,
)
def test_a_wheel_with_other_files_is_refused(sources: Path, changed: dict[str, bytes | None], wrong: str) -> None:
    rewritten(wheel_in(sources / "dist"), changed)
    with pytest.raises(RefusalError, match=re.escape(wrong)) as refused:
        wheel_is_complete(sources)
    assert refused.value.remedy


def test_an_sdist_that_leaves_something_out_is_refused(sources: Path) -> None:
    (sources / "tests" / "test_something_new.py").touch()
    with pytest.raises(RefusalError, match=r"has no tests/test_something_new\.py"):
        sdist_is_complete(sources)


def test_a_wheel_that_is_not_there_or_there_twice_is_refused(sources: Path) -> None:
    wheel = wheel_in(sources / "dist")
    shutil.copy(wheel, wheel.with_name("oauth_helper-0.0.1-py3-none-any.whl"))
    with pytest.raises(RefusalError, match="has 2 files"):
        wheel_is_complete(sources)
    shutil.rmtree(sources / "dist")
    with pytest.raises(RefusalError, match="has 0 files") as refused:
        wheel_is_complete(sources)
    assert "make package" in refused.value.remedy


def test_metadata_that_is_not_the_projects_is_refused(sources: Path) -> None:
    project = sources / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8").replace('"click>=8.1.8"', '"click>=8.2"'), encoding="utf-8")
    with pytest.raises(RefusalError, match="Requires-Dist"):
        metadata_is_true(sources)


def test_two_builds_that_differ_are_told_apart_by_the_file(built: Path, sources: Path) -> None:
    ours, others = wheel_in(built / "dist"), wheel_in(sources / "dist")
    must_be_alike(ours, others, read_wheel)
    rewritten(others, {})
    with pytest.raises(RefusalError) as refused:
        must_be_alike(ours, others, read_wheel)
    assert "look at their times" in refused.value.remedy
    rewritten(others, {CATALOG: b""})
    with pytest.raises(RefusalError) as refused:
        must_be_alike(ours, others, read_wheel)
    assert CATALOG in refused.value.remedy


def test_a_catalog_that_is_gone_is_not_taken_along_compiled(sources: Path) -> None:
    catalog = sources / CATALOG
    assert catalog.with_suffix(".po").is_file()
    other = sources / PACKAGE / "locale" / "xx" / "LC_MESSAGES" / "oauth_helper.mo"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"old")
    shutil.rmtree(sources / "dist")
    build(sources, sources / "dist", surroundings(sources.parent), "--no-isolation", "--wheel", "--sdist")
    assert wheel_is_complete(sources)
