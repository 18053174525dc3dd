"""Which forms of a pasted address are taken, and that printed addresses are one whole link in terminals and chats."""

import html
import itertools
import re
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import aiohttp
import pytest
import trustme
from aiohttp import web
from support.command_runner import commands
from support.fake_servicestage import KEY, PROJECT, FakeServiceStage, Received, answering, tunnel_to
from support.link_script import scripted

from oauth_helper.errors import RedirectRejectedError, UnusableAnswerError
from oauth_helper.models import RepoType
from oauth_helper.redirect import AuthorizationRequest
from oauth_helper.servicestage.client import ServiceStageClient

CONSOLE = "https://console.huaweicloud.com/servicestage/oauth"
CODE = "4fae923d5a4fd12aabfe"
FORMS = (
    *("{}", "{}.", "{},", "{}!", "{}?", "{};", "({})", "(see {}).", "{} .", "‘{}’", "’{}’", "{}…", "{}...", "“{}.”"),
    *("[here]({})", "[here]({}).", "**{}**", "*{}*", "_{}_", "__{}__.", "~~{}~~", "||{}||", "`{}`", "![{}]", "[1]: {}"),
    *("<{}|the console>", "<{}|{}>", "[the console|{}]", "[the console|{}|smart-link]", "[[{}][the console]]"),
    *("[[{}]]", "[url={}]the console[/url]", "[url]{}[/url]", "{}[the console]", r"\href{{{}}}{{console}}"),
    *('<a href="{}">', "<a href={}>here</a>", "{}</a>", "[14:31] Ada: {}", "Ada: {}, thanks", "{}\tServiceStage\t7"),
    *("[200~{}[201~", "^[[200~{}^[[201~"),
    *("200~{}201~", "00~{}01~", "0~{}1~", "\x1b[200~{}\x1b[201~", "\x1b[1m{}\x1b[0m"),
    *("地址是{}。谢谢", "地址（{}）", "{}）】", "{}，谢谢", "│ {} │", "{}\x00ServiceStage"),
)  # fmt: skip


def code_in(form: str, query: str, state: str) -> str:
    address = f"{CONSOLE}?{query}"
    parameters = f"client_id=7&redirect_uri={quote(CONSOLE, safe='')}&state={quote(state, safe='')}"
    request = AuthorizationRequest.parse(f"https://github.com/login/oauth/authorize?{parameters}", "github")
    text = form.replace("{{", "{").replace("}}", "}").replace("{}", address)
    return request.judge(text).code.reveal()


@pytest.mark.parametrize("form", FORMS)
def test_what_stands_around_an_address_is_no_part_of_it(form: str) -> None:
    state = ""
    # The state is written as hosts write it, or decoded by hand.
    for last, safe in itertools.product("C._-~)=*", ("", "/$=", "/$=)*")):
        state = f"$2a$10$Kq8dJm3vPzYwT.xS/bNhLu{last}"
        assert code_in(form, f"repo_type=github&code={CODE}&state={quote(state, safe=safe)}", state) == CODE
    try:
        code = code_in(form, f"repo_type=github&state={quote(state, safe='')}&code={CODE}", state)
    except RedirectRejectedError as rejected:  # it may say that it cannot tell, but never take a wrong one
        code = rejected.reason
    assert code in {CODE, "missing-code"}


def test_an_authorization_url_beyond_8_kb_is_refused() -> None:
    short, long = (f"https://git.example/a?state=1&x={'é' * times}" for times in (1000, 1400))
    assert len(AuthorizationRequest.parse(short, "gitlab").url.reveal()) < 8192
    with pytest.raises(UnusableAnswerError, match="8 KB"):
        AuthorizationRequest.parse(long, "gitlab")


LINK_IN_A_TERMINAL = re.compile(r"""https?://[^\s"'!*(){}|\\^<>`]*[^\s"':,.!?{}|\\^~\[\]`()<>_*-]""")
"""Like the rule of xterm.js; chats also leave out emphasis at the end."""
BASE = "https://git.example/oauth/authorize?client_id=7&scope=a+b"


@pytest.mark.parametrize("end", ["&state=s.", "&state=s_", "&state=s=", "&state=a(b)c*d~", "&state=s.#top."])
async def test_whatever_the_state_ends_in_the_printed_addresses_can_be_clicked_on(end: str) -> None:
    def respond(request: Received) -> web.Response:
        return web.json_response({"url": BASE + end} if "redirect" in request.target else {"authorizations": []})

    async with FakeServiceStage(respond) as service:
        access = {"OAUTH_HELPER_PROJECT_ID": PROJECT, "OAUTH_HELPER_TOKEN": "MIIE-token"}
        environ = commands.environ(None, OAUTH_HELPER_ENDPOINT=service.endpoint, **access)
        async with scripted("link", "gitlab", "--name", "mine", environ=environ) as script:
            waiting = await script.event("waiting")
            async with aiohttp.ClientSession() as browser, browser.get(waiting["listener"]) as page:
                start = await page.text()
            script.process.terminate()
            ended = await script.ended()
    for name in ("authorization_url", "listener"):
        clicked = LINK_IN_A_TERMINAL.search(ended.err[ended.err.index(waiting[name]) :])
        assert clicked
        assert clicked[0] == waiting[name]
        assert re.search("[A-Za-z0-9]$", waiting[name])
    printed, original = (sorted(parse_qsl(urlsplit(url).query)) for url in (waiting["authorization_url"], BASE + end))
    assert printed == original
    assert f'href="{BASE}{end}"' in html.unescape(start)


async def test_an_api_elsewhere_cannot_send_the_browser_to_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "servicestage.oauth-helper.invalid"
    authority, bundle, tls = trustme.CA(), tmp_path / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(bundle))
    authority.issue_cert(name).configure_cert(tls)
    hosts = "127.0.0.1:631 127.1 2130706433 localhost:8080 a.localhost. [::1]:9 [::ffff:127.0.0.1] 0 169.254.169.254"
    for host in f"{hosts} [fe80::1] 127.0.0.1. \uff11\uff12\uff17.0.0.1".split():
        fake = FakeServiceStage(answering({"url": f"https://{host}/authorize?state=s"}), tls=tls)
        async with fake, tunnel_to(fake.port) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            async with ServiceStageClient(
                f"https://{name}", project_id=PROJECT, credentials=KEY, ca_bundle=bundle
            ) as service:
                with pytest.raises(UnusableAnswerError, match="this machine") as refused:
                    await service.authorization_url(RepoType.GITHUB)
        assert refused.value.exit_status == 7
