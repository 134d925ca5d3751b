"""What the entry points name. LocalStack loads them all while it starts, so each imports its work when it is chosen."""

from localstack.runtime.server.core import RuntimeServer, RuntimeServerPlugin
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin


class BootstrapExecutorPlugin(RuntimeExecutorPlugin):
    """`LAMBDA_RUNTIME_EXECUTOR=bootstrap`."""

    name = "bootstrap"

    def load(self, *args: object, **kwargs: object) -> type:
        from .executor import BootstrapExecutor

        return BootstrapExecutor


class LoopbackServerPlugin(RuntimeServerPlugin):
    """`GATEWAY_SERVER=loopback`."""

    name = "loopback"

    def load(self, *args: object, **kwargs: object) -> RuntimeServer:
        from .server import LoopbackServer

        return LoopbackServer()
