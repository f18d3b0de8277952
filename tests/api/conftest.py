"""Certificates for real TLS servers on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form.

    Attributes:
        ca: The authority that signed the others; what `verify` gets.
        good: Certificate and key of 127.0.0.1.
        other_host: The same for another host.
        expired: The same as `good`, but of long ago.
    """

    ca: Path
    good: Path
    other_host: Path
    expired: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that nobody trusts, and certificates by it."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = {
        "good": authority.issue_cert("127.0.0.1", "localhost"),
        "other_host": authority.issue_cert("api.example.com"),
        "expired": authority.issue_cert("127.0.0.1", not_after=datetime(2021, 1, 1, tzinfo=UTC)),
    }
    for name, certificate in issued.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    return Certificates(folder / "ca.pem", *(folder / f"{name}.pem" for name in issued))
