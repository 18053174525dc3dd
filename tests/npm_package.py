from support.npm_package import *  # noqa: F403
