"""A link in a window of ours that shows nothing; the argument is the browser's family. The settings are variables."""

import asyncio
import json
import os
import sys

from oauth_helper import AccessKey, RepoType, ServiceStageClient
from oauth_helper.journal import Journal
from oauth_helper.link_request import LinkRequest
from oauth_helper.wiring import Ways, run_link


async def main(family: str) -> None:
    key = AccessKey(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"])
    endpoint, project_id = os.environ["OAUTH_HELPER_ENDPOINT"], os.environ["OAUTH_HELPER_PROJECT_ID"]
    ca_bundle = os.environ["OAUTH_HELPER_CA_BUNDLE"]
    async with ServiceStageClient(endpoint, project_id=project_id, credentials=key, ca_bundle=ca_bundle) as service:
        request, ways = LinkRequest(RepoType.GITHUB, "my-auth"), Ways(browser=family, headless=True)
        linked = await run_link(request, service, ways, lambda _event: None, journal=Journal.of_the_user())
    sys.stdout.write(json.dumps({"linked": linked.authorization.name}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
