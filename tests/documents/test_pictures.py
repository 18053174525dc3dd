"""The pictures that the READMEs show are there, show no secret, and fetch nothing."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"[?&]k=(?!KEY)|\b(state|code)=|\$2a\$|ghp_")


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_every_picture_of_a_readme_is_there_in_light_and_dark(readme: str) -> None:
    named = re.findall(r'\b(?:src|srcset)="([^"]+)"', (ROOT / readme).read_text(encoding="utf-8"))
    assert named
    for name in named:
        for scheme in ("light", "dark"):
            assert (ROOT / re.sub("light|dark", scheme, name)).is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.svg")), ids=lambda path: path.name)
def test_a_drawing_shows_no_secret_and_fetches_nothing(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "oauth-helper link github" in re.sub(r"(&#160;|<[^>]+>|\s)+", " ", source)
    assert not SECRET.search(source)
    assert not re.findall(r"href=\"[^#]|url\([^#]|@import|@font-face|animation|\son\w+=", source)
