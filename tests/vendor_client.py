from support.vendor_client import *  # noqa: F403
