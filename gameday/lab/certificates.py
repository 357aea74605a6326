# SPDX-License-Identifier: Apache-2.0
"""The lab's own certificate authority: PEM files in a directory, made anew at each ``lab up``."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = datetime.timedelta(days=3650)
"""A lab that stays up must not end by its certificates."""

SKEW = datetime.timedelta(days=1)


class Authority:
    """Signs for servers and clients; its own certificate is ``ca.crt``, its key stays in memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("gameday lab", "")
        may = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        own = (
            self._builder(self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(may, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        write(directory / "ca.crt", own.public_bytes(serialization.Encoding.PEM), 0o644)

    def sign(
        self, file: str, name: str, group: str = "", names: Sequence[str] = (), server: bool = False
    ) -> None:
        """Write ``<file>.crt`` and ``<file>.key``.

        Args:
            name: a user for Kubernetes. group: of that user.
            names: host names and addresses, of a server.
            server: for a server, else for a client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(name, group), key).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general(one) for one in names])
            builder = builder.add_extension(alternatives, critical=False)
        cert = builder.sign(self._key, hashes.SHA256())
        pem = cert.public_bytes(serialization.Encoding.PEM)
        write(self._directory / f"{file}.crt", pem, 0o644)
        write(self._directory / f"{file}.key", _pem(key), 0o600)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + LIFE)
        )


def write_rsa_key(path: Path) -> None:
    """A new RSA key, as service accounts' tokens are signed by."""
    write(path, _pem(rsa.generate_private_key(65537, 2048)), 0o600)


def write(path: Path, data: bytes, mode: int) -> None:
    """Write a new file that has its mode from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _name(common: str, organisation: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
