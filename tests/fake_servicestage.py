from support.fake_servicestage import *  # noqa: F403
