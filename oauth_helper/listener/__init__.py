"""The loopback listener, to which the redirect is brought, and its pages (RFC 8252 section 7.3)."""
