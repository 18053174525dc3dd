from support.sandbox_user import *  # noqa: F403
