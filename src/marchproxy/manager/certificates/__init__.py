"""Certificates that the manager keeps for listeners and pools, and what is known of those that the document names."""

from marchproxy.manager.certificates.certificates import Certificates
from marchproxy.manager.certificates.naming import KnownCertificate

__all__ = ["Certificates", "KnownCertificate"]
