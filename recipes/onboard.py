"""Link every account of a team that is not linked yet, one after the other. May be run again at any time."""

import asyncio
import os
import sys

from oauth_helper import AccessKey, OAuthHelperError, RepoType, ServiceStageClient, link

ACCOUNTS = {"my-team-github": RepoType.GITHUB, "my-team-gitee": RepoType.GITEE}


async def main() -> None:
    """Print a line for each account."""
    async with ServiceStageClient(
        os.environ["OAUTH_HELPER_ENDPOINT"],
        project_id=os.environ["OAUTH_HELPER_PROJECT_ID"],
        credentials=AccessKey(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"]),
    ) as service:
        existing = {one.name: one for one in await service.list_authorizations()}
        for name, repo_type in ACCOUNTS.items():
            exists = existing.get(name)
            if exists is None or not exists.works:
                exists = await link(service, repo_type, name=name, if_exists="replace")
            print(f"{name}: {exists.repo_user}")


try:
    asyncio.run(main())
except OAuthHelperError as error:
    print(f"{error}\n{error.hint}", file=sys.stderr)
    sys.exit(error.exit_status)
