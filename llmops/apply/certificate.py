"""The internal CA and the edge's certificate of `tls: self_signed`: EC P-256, names as SAN, and what became of them.

The CA may sign this one name only (name constraints, critical): a copy of its key is good for nothing else. 397 days is
the longest a client of the public web accepts; the CA lives ten years.
"""

import ipaddress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from llmops.domain.errors import WrongInput
from llmops.domain.records import dataclass

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LEAF_DAYS = 397
CA_DAYS = 3650
SKEW = timedelta(minutes=5)
"""Clocks differ: a certificate is valid from a little before it is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A certificate and its key, PEM."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a certificate says of itself."""

    expires: datetime
    names: tuple[str, ...]


def make_ca(hostname: str, *, now: datetime) -> Pair:
    """A new CA for `hostname` only."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "llmops internal CA")])
    builder = (
        _builder(name, name, key, now=now, days=CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=[_constraint(hostname)], excluded_subtrees=None), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _signed(builder, key, key)


def make_leaf(ca: Pair, hostname: str, *, now: datetime) -> Pair:
    """A server certificate for `hostname`, signed by `ca`; the CA's certificate follows it in the file."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        issuer = x509.load_pem_x509_certificate(ca.certificate)
        issuer_key = load_pem_private_key(ca.key, password=None)
    except (ValueError, TypeError):
        raise WrongInput("the internal CA's certificate or key cannot be read") from None
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise WrongInput("the internal CA's key is not an elliptic-curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hostname[:64])])
    builder = (
        _builder(name, issuer.subject, key, now=now, days=LEAF_DAYS)
        .add_extension(x509.SubjectAlternativeName([_name(hostname)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    leaf = _signed(builder, key, issuer_key)
    return Pair(certificate=leaf.certificate + ca.certificate, key=leaf.key)


def look(certificate: bytes) -> Seen | None:
    """The first certificate of a PEM file; None when it is none."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_certificate(certificate)
    except ValueError:
        return None
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Seen(expires=found.not_valid_after_utc, names=())
    addresses = [str(one) for one in names.get_values_for_type(x509.IPAddress)]
    return Seen(expires=found.not_valid_after_utc, names=(*names.get_values_for_type(x509.DNSName), *addresses))


def _builder(
    subject: "x509.Name", issuer: "x509.Name", key: "EllipticCurvePrivateKey", *, now: datetime, days: int
) -> "x509.CertificateBuilder":
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days) - SKEW)
    )


def _signed(
    builder: "x509.CertificateBuilder", key: "EllipticCurvePrivateKey", issuer_key: "EllipticCurvePrivateKey"
) -> Pair:
    from cryptography.hazmat.primitives import hashes, serialization

    certificate = builder.sign(issuer_key, hashes.SHA256())
    return Pair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def _usage(*, signs: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _name(hostname: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)


def _constraint(hostname: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_network(hostname))
    except ValueError:
        return x509.DNSName(hostname)
