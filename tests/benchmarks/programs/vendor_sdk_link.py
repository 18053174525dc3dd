"""The vendor's manual procedure as a script with the vendor's SDK: ask for the URL, paste the address, POST.

It does what anybody would write who has read the manual: no list call before, nothing written down, nothing retried.
What it is to talk to stands in the variables that the vendor's tools read, and on the command line:
ENDPOINT PROJECT_ID CA_BUNDLE.
"""

import json
import os
import sys
from urllib.parse import parse_qs, urlsplit

from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.http.http_config import HttpConfig
from huaweicloudsdkservicestage.v2 import CreateOAuthRequest, OAuth, ServiceStageClient, ShowRedirectUrlRequest


def main(endpoint: str, project_id: str, ca_bundle: str) -> None:
    config = HttpConfig.get_default_config()
    config.ssl_ca_cert = ca_bundle
    key = BasicCredentials(os.environ["HUAWEICLOUD_SDK_AK"], os.environ["HUAWEICLOUD_SDK_SK"], project_id)
    builder = ServiceStageClient.new_builder().with_http_config(config)
    client = builder.with_credentials(key).with_endpoint(endpoint).build()
    shown = client.show_redirect_url(ShowRedirectUrlRequest(repo_type="github"))
    print(json.dumps({"url": shown.url}), flush=True)  # noqa: T201
    response = parse_qs(urlsplit(sys.stdin.readline().strip()).query)
    body = OAuth(name="my-auth", code=response["code"][0], state=response["state"][0])
    created = client.create_o_auth(CreateOAuthRequest(repo_type="github", body=body))
    print(json.dumps({"linked": created.authorization.name}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
