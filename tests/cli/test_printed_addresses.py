"""The addresses that are printed are one whole link in terminals and chats, and lead where the original leads."""

import asyncio
import html
import re
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
import trustme
from aiohttp import web
from support.command_runner import commands
from support.fake_servicestage import KEY, PROJECT, FakeServiceStage, Received, answering, tunnel_to
from support.link_script import scripted

from oauth_helper.errors import UnusableAnswerError
from oauth_helper.models import RepoType
from oauth_helper.sandbox import Sandbox
from oauth_helper.servicestage.client import ServiceStageClient

NAME = "servicestage.oauth-helper.invalid"
LINK_IN_A_TERMINAL = re.compile(r"""https?://[^\s"'!*(){}|\\^<>`]*[^\s"':,.!?{}|\\^~\[\]`()<>_*-]""")
"""Like the rule of xterm.js; chats also leave out emphasis at the end."""
BASE = "https://git.example/oauth/authorize?client_id=7&scope=a+b"
ENDS = (
    *(f"&state=s{character}" for character in "._)+="),
    *("&state=a(b)c*d~", "&state=s&login=", "&state={s}|", "&state=s.#top."),
)


def answer(end: str) -> FakeServiceStage:
    def respond(request: Received) -> web.Response:
        if "redirect" in request.target:
            return web.json_response({"url": BASE + end})
        return web.json_response({"authorizations": []})

    return FakeServiceStage(respond)


def decoded(url: str) -> list[tuple[str, str]]:
    """The parameters, in any order; an empty one says nothing."""
    return sorted(parse_qsl(urlsplit(url).query))


async def check_printed(end: str) -> None:
    async with answer(end) as service:
        environ = commands.environ(OAUTH_HELPER_ENDPOINT=service.endpoint, OAUTH_HELPER_PROJECT_ID=PROJECT,
                               OAUTH_HELPER_TOKEN="MIIE-token")  # fmt: skip
        async with scripted("link", "gitlab", "--name", "mine", environ=environ) as script:
            waiting = await script.event("waiting")
            async with aiohttp.ClientSession() as browser, browser.get(waiting["listener"]) as page:
                start = await page.text()
            script.process.terminate()
            ended = await script.ended()
    for name in ("authorization_url", "listener"):
        printed = waiting[name]
        assert printed[-1].isascii()
        assert printed[-1].isalnum()
        clicked = LINK_IN_A_TERMINAL.search(ended.err[ended.err.index(printed) :])
        assert clicked
        assert clicked[0] == printed
    assert decoded(waiting["authorization_url"]) == decoded(BASE + end)
    assert f'href="{BASE}{end}"' in html.unescape(start)


async def test_whatever_the_state_ends_in_the_printed_addresses_can_be_clicked_on() -> None:
    await asyncio.gather(*map(check_printed, ENDS))


async def test_states_of_the_sandbox_end_as_those_of_bcrypt() -> None:
    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.token) as service,
    ):
        urls = [await service.authorization_url(RepoType.GITHUB) for _ in range(150)]
    last = {url[-1] for url in urls}
    assert "." in last
    assert last <= set(".CGKOSWaeimquy26")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:631", "127.1", "2130706433", "localhost:8080", "a.localhost.", "[::1]:9", "[::ffff:127.0.0.1]", "0",
     "169.254.169.254", "[fe80::1]", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1"],
)  # fmt: skip
async def test_an_api_elsewhere_cannot_send_the_browser_to_this_machine(
    host: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(bundle))
    authority.issue_cert(NAME).configure_cert(tls)
    url = f"https://{host}/authorize?state=s"
    async with FakeServiceStage(answering({"url": url}), tls=tls) as fake, tunnel_to(fake.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with ServiceStageClient(
            f"https://{NAME}", project_id=PROJECT, credentials=KEY, ca_bundle=bundle
        ) as service:
            with pytest.raises(UnusableAnswerError, match="this machine") as refused:
                await service.authorization_url(RepoType.GITHUB)
    assert refused.value.exit_status == 7
