"""Certificates: verification is always on, and the hint fits the failure."""

from __future__ import annotations

import hashlib
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from cryptography import x509
from support.command_runner import Ended, commands, error_of
from support.fake_servicestage import PROJECT, RECORD, FakeServiceStage, Received, answering

from oauth_helper.errors import SettingsError
from oauth_helper.servicestage.transport import tls_context

EMPTY = answering({"authorizations": []})


@pytest.mark.parametrize("content", [None, b"", b"no certificate"], ids=["missing", "empty", "text"])
def test_a_file_without_certificates_is_no_bundle(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    for unusable in (bundle, tmp_path, "a\0b"):
        with pytest.raises(SettingsError) as caught:
            tls_context(unusable)
        assert "--ca-bundle" in caught.value.hint


AUTHORITY = trustme.CA()

LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)


async def run(endpoint: str, *arguments: str, **more: str) -> Ended:
    key = {"HUAWEICLOUD_SDK_AK": "AccessKey", "HUAWEICLOUD_SDK_SK": "SecretKey"}
    ours = {"OAUTH_HELPER_ENDPOINT": endpoint, "OAUTH_HELPER_PROJECT_ID": PROJECT} | key | more
    environ = {name: value for name, value in commands.environ().items() if not name.startswith("SSL")}
    return await commands.run(*arguments, environ=environ | ours)


def serving(name: str = "127.0.0.1", *, expired: bool = False, tls: bool = True) -> FakeServiceStage:
    if not tls:
        return FakeServiceStage(EMPTY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    validity = (LONG_AGO, LONG_AGO + timedelta(days=30)) if expired else (None, None)
    AUTHORITY.issue_cert(name, not_before=validity[0], not_after=validity[1]).configure_cert(context)
    return FakeServiceStage(EMPTY, tls=context)


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize(
    ("server", "is_trusted", "message", "hint"),
    [
        (serving, False, "could not be verified: ", "--ca-bundle"),
        (lambda: serving(expired=True), True, "could not be verified: certificate has expired", "clock"),
        (lambda: serving("elsewhere.example"), True, "could not be verified: IP address mismatch", "another host"),
        (lambda: serving(tls=False), True, "The TLS handshake with 127.0.0.1", "This port does not speak TLS"),
    ],
    ids=["unknown authority", "expired", "another name", "plain http"],
)
async def test_the_hint_fits_the_tls_failure(
    server: object, is_trusted: bool, message: str, hint: str, bundle: str
) -> None:
    assert callable(server)
    async with server() as fake:
        end = await run(f"https://127.0.0.1:{fake.port}", "list", *(["--ca-bundle", bundle] if is_trusted else []))
    error, guidance, *_code = end.err.splitlines()
    assert end.status == 7
    assert message in error
    assert hint in guidance
    assert fake.received == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "OAUTH_HELPER_CA_BUNDLE"])
async def test_doctor_marks_a_bundle_that_is_not_there(variable: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "gone.pem")
    end = await run("https://127.0.0.1:1", "doctor", "--json", **{variable: missing})
    (finding,) = (one for one in json.loads(end.out) if one["subject"] == "ca_bundle")
    assert (end.status, finding["verdict"]) == (3, "fail")
    assert missing in finding["message"]
    assert "No such file" in finding["message"]


async def test_file_and_folder_of_openssl_are_both_trusted(tmp_path: Path, bundle: str) -> None:
    others, folder = tmp_path / "others.pem", tmp_path / "folder"
    trustme.CA().cert_pem.write_to_path(str(others))
    folder.mkdir()
    # OpenSSL finds an authority by the hash of its name in lower case.
    subject = x509.load_pem_x509_certificate(Path(bundle).read_bytes()).subject
    lower = x509.Name([x509.NameAttribute(one.oid, str(one.value).lower()) for one in subject])
    number = int.from_bytes(hashlib.sha1(lower.public_bytes()[2:], usedforsecurity=False).digest()[:4], "little")
    (folder / f"{number:08x}.0").write_bytes(Path(bundle).read_bytes())
    folders = f"{tmp_path / 'none'}:{folder}"
    async with serving() as fake:
        both = await run(fake.endpoint, "list", SSL_CERT_FILE=str(others), SSL_CERT_DIR=folders)
        ours = await run(fake.endpoint, "list", "--ca-bundle", str(others), SSL_CERT_DIR=folders)
    assert both.status == 0, both.err
    assert ours.status == 7, "--ca-bundle alone is trusted"


@pytest.mark.parametrize("folder", ["", "not-there"])
async def test_no_tls_keys_are_logged(folder: str, tmp_path: Path, bundle: str) -> None:
    log = tmp_path / folder / "keys.log"
    async with serving() as fake:
        end = await run(fake.endpoint, "list", "--ca-bundle", bundle, SSLKEYLOGFILE=str(log))
    assert (end.status, log.exists()) == (0, False), end.err


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "Infinity", "1e999", "-2E+400"])
async def test_a_number_that_is_no_json_is_no_answer(number: str) -> None:
    body = json.dumps({"authorizations": [RECORD | {"update_time": 4711}]}).replace("4711", number)
    async with FakeServiceStage(lambda _request: web.Response(text=body)) as fake:
        end = await run(fake.endpoint, "list", "--json")
    assert (end.status, end.out) == (7, "")
    assert error_of(end.err)["kind"] == "unusable-answer"


@pytest.mark.parametrize("status", ["2", 2, 2.0, 1])
async def test_a_status_that_is_written_as_text_counts(status: object) -> None:
    async with FakeServiceStage(answering({"authorizations": [RECORD | {"status": status}]})) as fake:
        end = await run(fake.endpoint, "link", "github", "--name", "my-auth", "--browser", "none", "--json")
    assert end.status == 6
    assert f"does not work (status {int(str(status)[0])})" in end.err
    assert len(fake.received) == 1


@pytest.mark.parametrize(
    ("status", "body", "content_type", "message", "hint"),
    [
        (
            200,
            b"<html><head><title>Anmelden</title>",
            "text/html",
            'is the web page "Anmelden"',
            "sign-in page",
        ),
        (
            200,
            "<!doctype html><title>请登录</title>".encode("gb18030"),
            "text/html; charset=GB18030",
            "请登录",
            "proxy",
        ),
        (204, b"", "text/plain", "is empty", "proxy"),
        (418, "请求被拦截".encode("gbk"), "text/plain; charset=gbk", "请求被拦截", ""),
        (
            400,
            '{"error_code": "X.1", "error_msg": "非法"}'.encode("gbk"),
            "application/json; charset=gbk",
            "X.1): 非法",
            "",
        ),
        (418, "é".encode("latin-1"), "text/plain; charset=latin-1", ": é", ""),
        (418, b"plain", "text/plain; charset=no-such", ": plain", ""),
    ],
)
async def test_an_answer_of_another_server_is_told_in_its_own_words(
    status: int, body: bytes, content_type: str, message: str, hint: str
) -> None:
    def answer(_request: Received) -> web.Response:
        return web.Response(status=status, body=body, headers={"Content-Type": content_type})

    async with FakeServiceStage(answer) as fake:
        end = await run(fake.endpoint, "list")
    error, guidance, *_code = end.err.splitlines()
    assert end.status == (6 if status >= 400 else 7)
    assert message in error
    assert hint in guidance
