"""TLS of the HTTP server, whose certificate is another one as soon as its files hold another good one."""

import ssl

from marchproxy.engines.certificates.watched import Watched
from marchproxy.engines.envoy.pem import UnusableFile, read_pair
from marchproxy.kit.settings import Problem, SettingsError
from marchproxy.manager.settings import HttpTls

LOOK_SECONDS = 2.0


class Credentials:
    """A context for a server, which hands each new connection to one with the newest certificate."""

    def __init__(self, tls: HttpTls) -> None:
        """Raises SettingsError for files that do not serve."""
        self._tls = tls
        pair = str(tls.cert), str(tls.key)
        try:
            self._watched = Watched([tls.cert, tls.key], lambda: read_pair(*pair))
        except UnusableFile as error:
            setting = "cert" if error.field == "certificate" else "key"
            raise SettingsError([Problem(f"manager.tls.{setting}", str(error))]) from error
        self._newest = self._context()
        self.context = self._context()
        self.context.sni_callback = self._greet

    async def look(self) -> None:
        """Read the files if they have changed; ones of no use change nothing, and are told of in the log."""
        if not self._watched.look():
            return
        try:
            self._newest = self._context()
        except (ssl.SSLError, OSError) as error:  # replaced again since they were read
            self._watched.take_back(f"{self._tls.cert}: {error}")

    def _greet(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # called with every hello, also those without a name
        connection.context = self._newest

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._tls.cert, self._tls.key)
        return context
