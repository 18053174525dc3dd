"""A walk through namespaces: in order, at most four requests at a time, and over at the first error."""

import pytest
from aiohttp import web
from at_once import AtOnce
from support.fake_servicestage import KEY, PROJECT, FakeServiceStage, Received

from oauth_helper import RefusedError, ServiceStageClient, UnavailableError, walk_repositories
from oauth_helper.servicestage.transport import Retries

NAMESPACES = 25


async def test_four_are_asked_for_at_a_time_and_the_order_is_kept() -> None:
    at_once = AtOnce(NAMESPACES)

    async def respond(request: Received) -> web.Response:
        if request.target.endswith("/namespaces"):
            return web.json_response({"namespaces": [{"id": str(n), "name": f"n{n}"} for n in range(NAMESPACES)]})
        await at_once.meet()
        name = request.target.split("/")[-2]
        return web.json_response({"projects": [{"id": "1", "name": f"of-{name}", "clone_url": "https://x"}]})

    async with (
        FakeServiceStage(respond) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY, retries=Retries(pauses=())) as service,
    ):
        tree = await walk_repositories(service, "my-auth")
    assert [namespace.name for namespace, _ in tree] == [f"n{number}" for number in range(NAMESPACES)]
    assert [projects[0].name for _, projects in tree] == [f"of-n{number}" for number in range(NAMESPACES)]
    assert at_once.most == 4


@pytest.mark.parametrize(("status", "error"), [(400, RefusedError), (503, UnavailableError)])
async def test_the_first_error_ends_it(status: int, error: type[Exception]) -> None:
    def respond(request: Received) -> web.Response:
        if request.target.endswith("/namespaces"):
            return web.json_response({"namespaces": [{"id": str(n), "name": f"n{n}"} for n in range(NAMESPACES)]})
        return web.json_response({"error_code": "SVCSTG.REPO.0400"}, status=status)

    async with (
        FakeServiceStage(respond) as fake,
        ServiceStageClient(fake.endpoint, project_id=PROJECT, credentials=KEY, retries=Retries(pauses=())) as service,
    ):
        with pytest.raises(error):
            await walk_repositories(service, "my-auth")
    assert len(fake.received) <= 1 + 2 * 4
