from support.repo_type_contract import *  # noqa: F403
