"""The certificates that the ALB shows to clients: read, made, watched, and never replaced by worse ones."""

from marchproxy.modules.http.certificates.store import Certificates, open_certificates, tls_of

__all__ = ["Certificates", "open_certificates", "tls_of"]
