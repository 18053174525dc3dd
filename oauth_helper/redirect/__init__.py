"""Read the authorization URL; judge what may be the redirect (RFC 6749 section 4.1, RFC 9207). No I/O."""

from oauth_helper.redirect.authorization_request import AuthorizationRequest, AuthorizationResponse

__all__ = ["AuthorizationRequest", "AuthorizationResponse"]
