"""The loopback listener: where the redirect can be brought, and the pages that say how (RFC 8252 section 7.3)."""

from oauth_helper.listener.server import Listener, RedirectDesk, Start

__all__ = ["Listener", "RedirectDesk", "Start"]
