"""TLS that cannot be talked out of verifying."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme
from fake_servicestage import AUTHS, KEY, PROJECT, FakeServiceStage, RawServer, answering

from oauth_helper.errors import SettingsError, UnreachableError
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.servicestage.transport import tls_context

EMPTY = answering({"authorizations": []})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_bundle(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client(endpoint: str, ca_bundle: Path | str | None) -> ServiceStageClient:
    return ServiceStageClient(endpoint, project_id=PROJECT, credentials=KEY, ca_bundle=ca_bundle)


async def failure(endpoint: str, ca_bundle: Path | str | None = None) -> UnreachableError:
    async with client(endpoint, ca_bundle) as service:
        with pytest.raises(UnreachableError) as caught:
            await service.list_authorizations()
    return caught.value


async def test_a_private_authority_is_trusted_when_it_is_named(authority: trustme.CA, ca_bundle: Path) -> None:
    async with (
        FakeServiceStage(EMPTY, tls=server_tls(authority, "127.0.0.1")) as fake,
        client(fake.endpoint, ca_bundle) as service,
    ):
        assert await service.list_authorizations() == []
    assert fake.received[0].target == AUTHS


async def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(authority: trustme.CA) -> None:
    async with FakeServiceStage(EMPTY, tls=server_tls(authority, "127.0.0.1")) as fake:
        error = await failure(fake.endpoint)
    assert "The TLS certificate of 127.0.0.1" in error.message
    assert "could not be verified: " in error.message
    assert "--ca-bundle" in error.hint
    assert not error.sent
    assert fake.received == []


async def test_an_authority_named_replaces_the_systems(ca_bundle: Path) -> None:
    another = trustme.CA()
    async with FakeServiceStage(EMPTY, tls=server_tls(another, "127.0.0.1")) as fake:
        error = await failure(fake.endpoint, ca_bundle)
    assert "could not be verified" in error.message
    assert not error.sent


async def test_a_certificate_for_another_name_is_refused(authority: trustme.CA, ca_bundle: Path) -> None:
    async with FakeServiceStage(EMPTY, tls=server_tls(authority, "other.example")) as fake:
        error = await failure(fake.endpoint, ca_bundle)
    assert "could not be verified" in error.message
    assert "127.0.0.1" in error.message


async def test_a_server_that_does_not_speak_tls_is_told_as_such(ca_bundle: Path) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(script) as server:
        error = await failure(server.endpoint.replace("http:", "https:"), ca_bundle)
    assert "The TLS handshake with 127.0.0.1" in error.message
    assert not error.sent


@pytest.mark.parametrize("content", [None, b"", b"no certificate"], ids=["missing", "empty", "text"])
@pytest.mark.parametrize("endpoint", ["https://x.example", "http://127.0.0.1:1"])
def test_an_unusable_bundle_is_a_matter_of_settings(tmp_path: Path, content: bytes | None, endpoint: str) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(SettingsError, match=r"bundle\.pem") as caught:
        client(endpoint, bundle)
    assert "--ca-bundle" in caught.value.hint


def test_a_folder_and_a_name_with_nul_are_no_bundle(tmp_path: Path) -> None:
    for bundle in (tmp_path, "a\0b"):
        with pytest.raises(SettingsError):
            tls_context(bundle)


def test_verification_is_on() -> None:
    context = tls_context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
