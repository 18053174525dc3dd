"""Photograph a page of Chromium: two pixels to a CSS pixel, 720 CSS pixels wide, and as high as the page."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

from browser_session import Browser

from pictures.fixed import fixed

_WIDTH, _HEIGHT, _DENSITY = 720, 640, 2
"""CSS pixels, the height as far as a page asks for the window's; pixels to one of them."""
_COLOURS: Final = 12
"""In a picture, 16 at most: a page has about eight, and what is between two of them at the edges of letters."""
_TEXTS: Final = """(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode.data);
    return texts;
})()"""
_SET_TEXTS: Final = """(() => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (const text of TEXTS) if (walker.nextNode() && walker.currentNode.data !== text) walker.currentNode.data = text;
})()"""
_PAINT: Final = """(async () => {
    const image = new Image();
    image.src = "data:image/png;base64,DATA";
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    const pixels = new Uint32Array(canvas.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    const colours = [...counts.keys()].map((pixel) => [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255]);
    const weights = [...counts.values()];
    const nearest = new Int32Array(colours.length);
    const errors = new Float64Array(colours.length).fill(Infinity);
    const palette = [];
    while (palette.length < Math.min(COLOURS, colours.length)) {
        const worst = errors.reduce(
            (best, error, at) => error * weights[at] > errors[best] * weights[best] ? at : best, 0);
        palette.push(colours[worst]);
        colours.forEach((colour, at) => {
            const error = colour.reduce((sum, channel, index) => sum + (channel - colours[worst][index]) ** 2, 0);
            if (error < errors[at]) [errors[at], nearest[at]] = [error, palette.length - 1];
        });
    }
    const places = new Map([...counts.keys()].map((pixel, at) => [pixel, nearest[at]]));
    const indices = Uint8Array.from(pixels, (pixel) => places.get(pixel));
    let binary = "";
    for (let at = 0; at < indices.length; at += 32768)
        binary += String.fromCharCode(...indices.subarray(at, at + 32768));
    return {width: image.width, height: image.height, palette, indices: btoa(binary)};
})()"""
"""PNG in; out comes its size, the colours by which the most is gained, and for each pixel which of them is nearest."""


@dataclass(frozen=True)
class Camera:
    """Looks at the first tab of a Chromium, over a session of its own."""

    browser: Browser
    session: str

    @classmethod
    async def of(cls, browser: Browser) -> Self:
        """Look at a page so many pixels wide from now on."""
        targets = (await browser.call("Target.getTargets", {}))["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = await browser.call("Target.attachToTarget", {"targetId": page, "flatten": True})
        camera = cls(browser, attached["sessionId"])
        await camera._resize(_HEIGHT)
        return camera

    async def photograph(self) -> bytes:
        """Return the page as PNG, with what differs from run to run as it is in every picture."""
        texts = json.dumps([fixed(text) for text in await self._evaluate(_TEXTS)])
        await self._evaluate(_SET_TEXTS.replace("TEXTS", texts))
        height = await self._evaluate("Math.ceil(document.body.getBoundingClientRect().bottom)")
        clip = {"x": 0, "y": 0, "width": _WIDTH, "height": height, "scale": 1}
        shot = await self._call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        await self._call("Page.navigate", url="about:blank")  # the page's policy forbids images
        painted = await self._evaluate(_PAINT.replace("COLOURS", str(_COLOURS)).replace("DATA", shot["data"]))
        size = painted["width"], painted["height"]
        return indexed_png(size, painted["palette"], base64.b64decode(painted["indices"]))

    async def _resize(self, height: int) -> None:
        metrics = {"width": _WIDTH, "height": height, "deviceScaleFactor": _DENSITY, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **metrics)

    async def _evaluate(self, expression: str) -> Any:
        wanted = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        reply = await self._call("Runtime.evaluate", **wanted)
        if "exceptionDetails" in reply:
            raise RuntimeError(reply["exceptionDetails"]["exception"]["description"])
        return reply["result"].get("value")

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self.browser.call(method, parameters, session=self.session)


def indexed_png(size: tuple[int, int], palette: list[list[int]], indices: bytes) -> bytes:
    """Return a PNG of indexed colour (PNG Specification, Third Edition), with no filter: it would do harm.

    Args:
        size: Pixels across, an even number, and down.
        palette: Red, green and blue of each colour, 16 at most.
        indices: A byte for each pixel, row by row.
    """
    width, height = size
    pairs = bytes(left << 4 | right for left, right in zip(indices[::2], indices[1::2], strict=True))
    rows = (pairs[at : at + width // 2] for at in range(0, len(pairs), width // 2))
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 4, 3, 0, 0, 0),
        b"PLTE": bytes(channel for colour in palette for channel in colour),
        b"IDAT": zlib.compress(b"".join(b"\0" + row for row in rows), 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunked(chunks))


def _chunked(chunks: dict[bytes, bytes]) -> Iterator[bytes]:
    for name, data in chunks.items():
        yield struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
