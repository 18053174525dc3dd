"""Settings: flag over environment over file over default, each with its origin."""

from __future__ import annotations

import pytest

from oauth_helper.credentials import AccessKey
from oauth_helper.errors import SettingsError
from oauth_helper.servicestage.client import ServiceStageClient
from oauth_helper.settings import Settings, Sources, resolve_settings
from oauth_helper.values import FileValues, check_endpoint


def resolve(
    flags: dict[str, str | None] | None = None,
    environ: dict[str, str] | None = None,
    config: dict[str, str] | None = None,
    credentials: dict[str, str] | None = None,
) -> Settings:
    return resolve_settings(
        Sources(
            flags or {},
            environ or {},
            FileValues("config.toml", config or {}),
            FileValues("~/.huaweicloud/credentials", credentials or {}),
        )
    )


def test_with_nothing_set_the_defaults_hold() -> None:
    settings = resolve()
    assert settings.region.value is None
    assert settings.endpoint.value is None
    assert settings.browser.value == "auto"
    assert settings.timeout.value == 600
    assert {settings.browser.origin, settings.timeout.origin, settings.tag.origin} == {"default"}
    with pytest.raises(SettingsError, match="No region is set") as refused:
        settings.required_endpoint()
    assert "--sandbox" in refused.value.hint
    assert settings.iam.iam_endpoint is None


@pytest.mark.parametrize(
    ("key", "names", "value"),
    [
        (
            "region",
            ("OAUTH_HELPER_REGION", "HW_REGION_NAME", "HW_REGION", "HUAWEICLOUD_REGION", "HUAWEI_CLOUD_REGION"),
            "cn-north-{}",
        ),
        ("project_id", ("OAUTH_HELPER_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID"), "project{}"),
        (
            "iam_endpoint",
            ("OAUTH_HELPER_IAM_ENDPOINT", "HUAWEICLOUD_SDK_IAM_ENDPOINT", "HW_AUTH_URL"),
            "https://iam{}.example",
        ),
        ("ca_bundle", ("OAUTH_HELPER_CA_BUNDLE", "SSL_CERT_FILE"), "/ca{}"),
        ("endpoint", ("OAUTH_HELPER_ENDPOINT",), "https://e{}.example"),
        ("tag", ("OAUTH_HELPER_TAG",), "tag{}"),
    ],
)
def test_the_first_variable_that_is_set_wins_over_the_file_and_loses_to_the_flag(
    key: str, names: tuple[str, ...], value: str
) -> None:
    config = {key: value.format(9)}
    assert getattr(resolve(config=config), key).origin == "config.toml"
    environ: dict[str, str] = {}
    for number, name in reversed(list(enumerate(names))):
        environ[name] = value.format(number)
        found = getattr(resolve(environ=environ, config=config), key)
        assert (found.value, found.origin) == (value.format(number), name)
    environ[names[0]] = ""
    assert getattr(resolve(environ=environ, config=config), key).origin != names[0], "an empty one counts as unset"
    found = getattr(resolve({key: value.format(7)}, environ, config), key)
    assert (found.value, found.origin) == (value.format(7), f"--{key.replace('_', '-')}")


def test_the_vendor_sdks_endpoint_of_a_region_is_read_and_its_first_one_taken() -> None:
    name = "HUAWEICLOUD_SDK_REGION_SERVICESTAGE_CN_NORTH_4"
    environ = {name: "one.example,two.example", "HW_REGION_NAME": "cn-north-4"}
    settings = resolve(environ=environ)
    assert (settings.endpoint.value, settings.endpoint.origin) == ("https://one.example", name)
    assert resolve(environ=environ | {"OAUTH_HELPER_ENDPOINT": "https://e.example"}).endpoint.origin != name


def test_the_credentials_file_stands_between_environment_and_config_file() -> None:
    credentials = {"project_id": "p", "iam_endpoint": "https://iam.example", "region": "not read from here"}
    settings = resolve(config={"project_id": "q"}, credentials=credentials)
    assert (settings.project_id.value, settings.project_id.origin) == ("p", "[basic] of ~/.huaweicloud/credentials")
    assert settings.iam_endpoint.value == "https://iam.example"
    assert settings.region.value is None


def test_terraforms_version_suffix_is_cut_from_the_iam_endpoint() -> None:
    assert resolve(environ={"HW_AUTH_URL": "https://iam.example/v3/"}).iam_endpoint.value == "https://iam.example"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("region", "evil.example/", "--region is not a region"),
        ("endpoint", "http://servicestage.example", "plain http"),
        ("endpoint", "http://127.0.0.1.example", "plain http"),
        ("endpoint", "ftp://servicestage.example", "not a usable address"),
        ("endpoint", "https://", "not a usable address"),
        ("endpoint", "https://[::1", "not a usable address"),
        ("endpoint", "https://user:word@e.example", "more than a host"),
        ("endpoint", "https://user:word@[e.example", "not a usable address"),
        ("iam_endpoint", "https://e.example?x=1", "--iam-endpoint has more than a host"),
        ("browser", "lynx", "--browser is not a browser that can be used"),
        ("timeout", "soon", "--timeout is not a number"),
        ("timeout", "0", "from 1 to 3600"),
        ("timeout", "3601", "from 1 to 3600"),
        ("timeout", "nan", "from 1 to 3600"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_origin(key: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        resolve({key: value})
    assert refused.value.exit_status == 3
    assert "word@" not in refused.value.message


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("servicestage.example", "https://servicestage.example"),
        ("https://servicestage.example:8443/prefix/", "https://servicestage.example:8443/prefix"),
        ("HTTPS://ServiceStage.example:443/prefix", "https://servicestage.example/prefix"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://LOCALHOST.:8080", "http://localhost.:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_usable_endpoints_are_made_alike(text: str, endpoint: str) -> None:
    assert check_endpoint(text) == endpoint
    assert ServiceStageClient(text, project_id="p", credentials=AccessKey("A", "S")).endpoint == endpoint


def test_a_region_on_the_command_line_overrides_inherited_endpoints() -> None:
    environ = {
        "OAUTH_HELPER_ENDPOINT": "https://e.example",
        "HW_AUTH_URL": "https://iam.example/v3",
        "OAUTH_HELPER_PROJECT_ID": "0" * 32,
        "HW_REGION_NAME": "cn-north-4",
    }
    settings = resolve({"region": "cn-south-1"}, environ, {"iam_endpoint": "https://iam.file.example"})
    assert settings.endpoint.value == "https://servicestage.cn-south-1.myhuaweicloud.com"
    assert settings.iam_endpoint.value == "https://iam.cn-south-1.myhuaweicloud.com"
    assert settings.project_id.value == "0" * 32
    said = " ".join(settings.notices)
    assert all(name in said for name in ("OAUTH_HELPER_ENDPOINT", "HW_AUTH_URL", "OAUTH_HELPER_PROJECT_ID"))
    of_region = {"HUAWEICLOUD_SDK_REGION_SERVICESTAGE_CN_SOUTH_1": "https://sdk.example"}
    assert resolve({"region": "cn-south-1"}, environ | of_region).endpoint.value == "https://sdk.example"
    typed = resolve({"region": "cn-south-1", "endpoint": "https://typed.example"}, environ)
    assert typed.endpoint.value == "https://typed.example"
    assert resolve(environ=environ).notices == ()


@pytest.mark.parametrize(
    ("region", "environ", "cloud"),
    [
        ("cn-north-4", {}, "myhuaweicloud.com"),
        ("eu-west-101", {}, "myhuaweicloud.eu"),
        ("ae-ad-1", {"HW_CLOUD": "g42cloud.com"}, "g42cloud.com"),
        ("eu-west-101", {"OAUTH_HELPER_CLOUD": "example.eu", "HW_CLOUD": "myhuaweicloud.com"}, "example.eu"),
    ],
)
def test_the_cloud_follows_from_the_region_unless_it_is_set(region: str, environ: dict[str, str], cloud: str) -> None:
    settings = resolve({"region": region}, environ)
    assert settings.endpoint.value == f"https://servicestage.{region}.{cloud}" == settings.required_endpoint()
    assert (settings.region.origin, settings.endpoint.origin) == ("--region", f"default of region {region}")
    assert settings.iam.iam_endpoint == f"https://iam.{region}.{cloud}"
    is_ours = cloud == "myhuaweicloud.com"
    assert settings.sts_endpoint == f"https://sts.{region}.{cloud}" or is_ours
    assert resolve({"region": region, "cloud": "typed.example"}, environ).cloud.value == "typed.example"


@pytest.mark.parametrize("cloud", ["planted", "https://g42cloud.com", "g42cloud.com/x", '"g42cloud.com"'])
def test_a_cloud_that_is_no_domain_is_refused(cloud: str) -> None:
    with pytest.raises(SettingsError, match="HW_CLOUD"):
        resolve(environ={"HW_CLOUD": cloud})


def test_a_projects_name_is_used_unless_its_id_is_set() -> None:
    environ = {"HW_PROJECT_NAME": "cn-north-4_dev", "HW_REGION": "cn-north-4"}
    assert resolve(environ=environ).iam.project_name == "cn-north-4_dev"
    with_id = resolve(environ=environ | {"HW_PROJECT_ID": "0" * 32})
    assert "HW_PROJECT_NAME is not used: HW_PROJECT_ID" in with_id.notices[0]
