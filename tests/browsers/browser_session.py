"""A real Chromium or Firefox without a window, driven over its own protocol, for tests.

Chromium speaks the DevTools protocol, Firefox WebDriver BiDi; both over one websocket. A test sees neither::

    async with Chromium(dark=True) as browser:
        await browser.tab.open("http://127.0.0.1:…/start?k=…")
        await browser.tab.wait_for("document.body.dataset.outcome === 'linked'")
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any, Final

from browsers.browser_base import Browser, BrowserError, Tab

__all__ = ["Browser", "BrowserError", "Chromium", "Firefox", "Tab"]

_CONTROL: Final = "\ue009"
"""WebDriver's code for the Ctrl key."""
_TAB: Final = "\ue004"
_WATCH_POLICY: Final = """
    window.violations = [];
    document.addEventListener("securitypolicyviolation",
        (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
"""Every page counts in ``window.violations`` what its Content-Security-Policy forbade."""


class Chromium(Browser):
    """Chromium or Chrome, over the DevTools protocol."""

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    _path = ""
    _tabs: dict[str, Tab]

    def _command(self) -> list[str]:
        switches = ["--headless=new", "--remote-debugging-port=0", "--no-first-run", "--disable-sync"]
        switches += ["--password-store=basic", "--disable-component-update", f"--user-data-dir={self._profile}"]
        return [*switches, *(["--no-sandbox"] if os.geteuid() == 0 else []), "about:blank"]

    async def tabs(self) -> list[Tab]:
        targets = (await self.call("Target.getTargets", {}))["targetInfos"]
        pages = [target["targetId"] for target in targets if target["type"] == "page"]
        known = {page: tab for page, tab in self._tabs.items() if page in pages}
        self._tabs = known | {page: await self._attach(page) for page in pages if page not in known}
        return list(self._tabs.values())

    async def _first_tab(self) -> Tab:
        self._tabs = {}
        return (await self.tabs())[0]

    async def _attach(self, target: str) -> Tab:
        attached = await self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        tab = _ChromiumTab(self, attached["sessionId"])
        scheme = {"name": "prefers-color-scheme", "value": "dark" if self._dark else "light"}
        await tab.call("Page.enable")
        await tab.call("Emulation.setEmulatedMedia", features=[scheme])
        await tab.call("Emulation.setScriptExecutionDisabled", value=not self._scripts)
        await tab.call("Emulation.setScrollbarsHidden", hidden=True)
        await tab.call("Page.addScriptToEvaluateOnNewDocument", source=_WATCH_POLICY)
        return tab


class _ChromiumTab(Tab):
    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.call(method, parameters, session=self._session)

    async def open(self, address: str) -> None:
        if error := (await self.call("Page.navigate", url=address)).get("errorText"):
            raise BrowserError(f"{address}: {error}")
        await self.wait_for("document.readyState === 'complete'")

    async def close(self) -> None:
        await self.call("Page.close")

    async def screenshot(self) -> bytes:
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    async def resize(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def chord(self, letter: str) -> None:
        command = {"a": "selectAll", "x": "cut", "v": "paste"}[letter]
        key = {"key": letter, "code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
        await self.call("Input.dispatchKeyEvent", type="rawKeyDown", modifiers=2, commands=[command], **key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", modifiers=2, **key)

    async def press_tab(self) -> None:
        key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
        await self.call("Input.dispatchKeyEvent", type="rawKeyDown", **key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    async def _evaluate(self, expression: str) -> str | None:
        wanted = {"expression": expression, "returnByValue": True, "userGesture": True}
        reply = await self.call("Runtime.evaluate", **wanted)
        if "exceptionDetails" in reply:
            raise BrowserError(str(reply["exceptionDetails"]))
        value: str | None = reply["result"].get("value")
        return value


class Firefox(Browser):
    """Firefox, over WebDriver BiDi."""

    names = ("firefox", "firefox-esr")
    _path = "/session"

    def _command(self) -> list[str]:
        preferences = {
            "datareporting.policy.dataSubmissionEnabled": False,
            "javascript.enabled": self._scripts,
            "layout.css.prefers-color-scheme.content-override": 0 if self._dark else 1,
            "ui.systemUsesDarkTheme": int(self._dark),
        }
        lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items())
        (self._profile / "user.js").write_text("\n".join(lines))
        return ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(self._profile)]

    async def tabs(self) -> list[Tab]:
        contexts = (await self.call("browsingContext.getTree", {"maxDepth": 0}))["contexts"]
        return [_FirefoxTab(self, context["context"]) for context in contexts]

    async def _first_tab(self) -> Tab:
        await self.call("session.new", {"capabilities": {}})
        await self.call("script.addPreloadScript", {"functionDeclaration": f"() => {{{_WATCH_POLICY}}}"})
        return (await self.tabs())[0]


class _FirefoxTab(Tab):
    def __init__(self, browser: Browser, context: str) -> None:
        self._browser = browser
        self._context = context

    async def open(self, address: str) -> None:
        await self._browser.call(
            "browsingContext.navigate", {"context": self._context, "url": address, "wait": "complete"}
        )

    async def close(self) -> None:
        await self._browser.call("browsingContext.close", {"context": self._context})

    async def screenshot(self) -> bytes:
        wanted = {"context": self._context, "origin": "document"}
        shot = await self._browser.call("browsingContext.captureScreenshot", wanted)
        return base64.b64decode(shot["data"])

    async def resize(self, width: int, height: int) -> None:
        viewport = {"width": width, "height": height}
        await self._browser.call("browsingContext.setViewport", {"context": self._context, "viewport": viewport})

    async def chord(self, letter: str) -> None:
        await self._strike(("keyDown", _CONTROL), ("keyDown", letter), ("keyUp", letter), ("keyUp", _CONTROL))

    async def press_tab(self) -> None:
        await self._strike(("keyDown", _TAB), ("keyUp", _TAB))

    async def _strike(self, *strokes: tuple[str, str]) -> None:
        keyboard = {"type": "key", "id": "keyboard", "actions": [{"type": kind, "value": key} for kind, key in strokes]}
        await self._browser.call("input.performActions", {"context": self._context, "actions": [keyboard]})

    async def _evaluate(self, expression: str) -> str | None:
        wanted = {"target": {"context": self._context}, "awaitPromise": False, "userActivation": True}
        reply = await self._browser.call("script.evaluate", {"expression": expression, **wanted})
        if reply["type"] == "exception":
            raise BrowserError(reply["exceptionDetails"]["text"])
        value: str | None = reply["result"].get("value")
        return value
