"""LocalStack's gateway, for this machine alone."""

from localstack import config
from localstack.runtime.server.twisted import TwistedRuntimeServer
from rolo.gateway import Gateway
from rolo.serving.twisted import TwistedGateway
from twisted.internet import reactor


class LoopbackServer(TwistedRuntimeServer):
    """Plain HTTP on the addresses of GATEWAY_LISTEN and no others."""

    def register(
        self, gateway: Gateway, listen: list[config.HostAndPort], ssl_creds: tuple[str, str] | None = None
    ) -> None:
        """Listens, or fails.

        The usual server listens on every interface whatever the host says, and anybody who reaches this emulator can
        run code on the machine. When the port is taken it prints a traceback, and then that it is ready.
        """
        for address in listen:
            reactor.listenTCP(address.port, TwistedGateway(gateway), interface=address.host)
