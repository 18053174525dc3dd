"""The exchange: one captured redirect becomes an authorization, and its single use is not wasted.

The rules of sending again. A state is good for one use, so a second POST can never make a second authorization; but
a code that is used twice may revoke what its first use made (RFC 6749 section 4.1.2). Hence, whenever the outcome is
not plain, the list is looked at before anything is sent again:

- never sent (no connection came about): send again;
- answered 408, 425, 429, 500 or 503, by anyone: look; where it is not there, send again, after ``Retry-After``;
- no answer, a success without a record, or 502, 504 and the like: the POST may still be carried out. Look 1, 3, 7 and
  15 seconds later; send again only where it is not there after those 15 seconds;
- 401 or 403: stop, and keep the redirect;
- any other 3xx or 4xx without a code of ServiceStage: something else answered, and the redirect was not used. Stop, and
  keep it;
- a look that failed tells nothing: look again, do not send. Where listing is not permitted, nothing can be known;
- code, state or name refused after an earlier sending: look, it may be that one's work.
"""

from __future__ import annotations

from oauth_helper.exchange.lookout import CannotLookError, Lookout
from oauth_helper.exchange.pace import PACE, Pace
from oauth_helper.exchange.seams import Journal, Service
from oauth_helper.exchange.sending import Exchange
from oauth_helper.exchange.statement import what_is_gone

__all__ = ["PACE", "CannotLookError", "Exchange", "Journal", "Lookout", "Pace", "Service", "what_is_gone"]
