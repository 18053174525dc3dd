"""axe-core, the judge of accessibility, fetched once by npm, and what it finds on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from support.npm_package import npm_package

if TYPE_CHECKING:
    from browsers.browser_session import Tab

_PACKAGE: Final = "axe-core@4.14.1"
_FOUND: Final = """[...axeFound.violations].map((rule) =>
    `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 120) + " " + node.failureSummary).join("; ")}`)"""


def axe_core() -> str:
    """Return axe-core's script; skip the test where it cannot be had."""
    return (npm_package(_PACKAGE, under=".venv-axe") / "axe.min.js").read_text(encoding="utf-8")


async def violations(tab: Tab, script: str) -> list[str]:
    """Return what axe-core finds wrong with the page that the tab shows."""
    await tab.evaluate(f"(() => {{ {script}; return 1; }})()")
    await tab.evaluate("(() => { axe.run(document).then((found) => { window.axeFound = found; }); return 1; })()")
    await tab.wait_for("Boolean(window.axeFound)")
    found: list[str] = await tab.evaluate(_FOUND)
    return found
