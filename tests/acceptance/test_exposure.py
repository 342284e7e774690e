"""A server that is to be reached from elsewhere: it needs a user, and speaks TLS."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.acceptance.running import TIERCEL, running_server

PASSWORD = "correct horse battery"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tiercel test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.pem", folder / "server.key"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "Without a user anybody who reaches 0.0.0.0 could run commands here"),
        ({"TIERCEL_ADMIN_USER": "ada"}, "admin_user needs admin_password"),
        ({"TIERCEL_ADMIN_USER": "ada", "TIERCEL_ADMIN_PASSWORD": "short"}, "password must have 8"),
    ],
)
def test_an_open_server_refuses_to_be_reached_from_elsewhere(
    tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    command = [*TIERCEL, "server", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path)]
    ended = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert told in " ".join(ended.stderr.split())


def test_a_user_of_the_settings_gets_in_over_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    options: tuple[str, ...] = (
        "--host",
        "0.0.0.0",
        "--tls-certificate",
        str(cert),
        "--tls-key",
        str(key),
    )
    options += ("--admin-user", "ada", "--admin-password", PASSWORD)
    with running_server(tmp_path / "data", *options) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert url.startswith("https://")
        flows = f"{url}/api/v1/flows/search"
        assert requests.get(flows, verify=str(cert), timeout=20).status_code == 401
        got = requests.get(flows, auth=("ada", PASSWORD), verify=str(cert), timeout=20)
        assert got.status_code == 200
        asked = subprocess.run(
            [*TIERCEL, "user", "list", "--server", url],
            env={
                **os.environ,
                "SSL_CERT_FILE": str(cert),
                "TIERCEL_USER": "ada",
                "TIERCEL_PASSWORD": PASSWORD,
            },
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "ada" in asked.stdout, asked.stderr


def test_a_key_that_does_not_fit_is_told(tmp_path: Path) -> None:
    cert, _ = certificate(tmp_path)
    command = [*TIERCEL, "server", "--port", "0", "--data", str(tmp_path / "data")]
    command += ["--tls-certificate", str(cert), "--tls-key", str(cert)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "tls_certificate and tls_key" in " ".join(ended.stderr.split())
