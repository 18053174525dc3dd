"""sigstore: Issuer.identity_token, as `sigstore sign` calls it."""

from __future__ import annotations

from sigstore.oidc import Issuer

from torture.victims.telling import run


def login(provider: str) -> None:
    Issuer(provider).identity_token()


if __name__ == "__main__":
    run(login)
