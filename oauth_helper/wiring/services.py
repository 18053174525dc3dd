"""Clients for what the settings say, and for the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from oauth_helper.credential_chain import FoundCredentials
from oauth_helper.credentials import AccessKey, IamToken, IamUser
from oauth_helper.errors import NotPermittedError, OAuthHelperError, RefusedError, SettingsError
from oauth_helper.files import UnreadableFileError, read_bytes
from oauth_helper.known_projects import Asked, KnownProjects
from oauth_helper.origin import Sourced
from oauth_helper.pending import Target
from oauth_helper.phrase import phrase
from oauth_helper.servicestage import ServiceStageClient, fetch_token, find_project_id
from oauth_helper.settings import Settings


@asynccontextmanager
async def open_service(
    settings: Settings, credentials: FoundCredentials, *, target: Target | None = None
) -> AsyncIterator[ServiceStageClient]:
    """Open a client for what the settings say; ask IAM for a token or the project's id where they are not given.

    With ``target``, endpoint and project are those of an earlier run.

    Raises:
        SettingsError: Something that is needed is set nowhere.
        CredentialsError: IAM refused them.
        UnavailableError: IAM gave no usable answer.
    """
    endpoint = target.endpoint if target else settings.required_endpoint()
    project_id = target.project_id if target else settings.usable_project_id()
    region, ca_bundle = settings.region.value, settings.ca_bundle.value
    _require_plain_file(settings.ca_bundle)
    identity = credentials.value
    async with AsyncExitStack() as stack:
        if isinstance(identity, IamUser):
            iam = settings.required_iam_endpoint(phrase("a token for the IAM user"))
            _require_region_or_project(region or project_id)
            issued = await fetch_token(iam, identity, region=region, project_id=project_id, ca_bundle=ca_bundle)
            identity, project_id = issued.token, project_id or issued.project_id
        elif project_id is None:
            iam = settings.required_iam_endpoint(phrase("the project's id"))
            region = _require_region_or_project(region)
            project_id = await stack.enter_async_context(_project_of(iam, region, identity, ca_bundle))
        client = ServiceStageClient(endpoint, project_id=project_id, credentials=identity, ca_bundle=ca_bundle)
        yield await stack.enter_async_context(client)


@asynccontextmanager
async def _project_of(
    iam: str, region: str, identity: AccessKey | IamToken, ca_bundle: str | None
) -> AsyncIterator[str]:
    """Give the project's id, of those that are remembered or of IAM; forget it where it turns out to be wrong."""
    asked = None
    if isinstance(identity, AccessKey) and identity.security_token is None:  # a temporary key will not come again
        asked = Asked(iam, region, identity.access_key)
    known = KnownProjects.of_the_user()
    if asked and (remembered := known.find(asked)):
        try:
            yield remembered
        except (NotPermittedError, RefusedError) as error:
            # The error was told already: its text must not change any more.
            if _may_mean_the_project(error):
                known.forget(asked)  # the next run asks IAM again
            raise
        return
    project_id = await find_project_id(iam, region, identity, ca_bundle=ca_bundle)
    if asked:
        known.remember(asked, project_id)
    yield project_id


def _may_mean_the_project(error: OAuthHelperError) -> bool:
    """Whether it was refused for another reason than ServiceStage itself has for refusing what it was asked."""
    is_its_own = (error.code or "").startswith("SVCSTG.")
    return isinstance(error, NotPermittedError) or (type(error) is RefusedError and not is_its_own)


@asynccontextmanager
async def open_sandbox() -> AsyncIterator[tuple[ServiceStageClient, Callable[[str], Awaitable[None]]]]:
    """Start a sandbox; give a client for it, and the visitor who plays the user where there is no browser."""
    from oauth_helper.sandbox import Sandbox  # noqa: PLC0415 - only who asks for the sandbox pays for it
    from oauth_helper.sandbox.visitor import play_user  # noqa: PLC0415 - as above

    async with (
        Sandbox() as sandbox,
        ServiceStageClient(sandbox.endpoint, project_id=sandbox.project_id, credentials=sandbox.access_key) as service,
    ):
        yield service, play_user


def _require_plain_file(ca_bundle: Sourced[str | None]) -> None:
    """Refuse what OpenSSL would read without end; it says itself what is wrong with a plain file or a folder."""
    path = Path(ca_bundle.value or "")
    if ca_bundle.value is None or path.is_dir():
        return
    try:
        read_bytes(path)
    except FileNotFoundError:
        return
    except UnreadableFileError as error:
        raise SettingsError(
            phrase('{origin}: "{path}" {reason}', origin=ca_bundle.origin, path=path, reason=error.reason),
            hint=phrase("Name a file of certificates in PEM form."),
        ) from None


def _require_region_or_project(value: str | None) -> str:
    if value is None:
        raise SettingsError(
            phrase("The project's id is not known, and without a region IAM cannot be asked for it"),
            hint=phrase("Give --project-id, or --region."),
        )
    return value
