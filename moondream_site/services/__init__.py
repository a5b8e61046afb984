"""PostgreSQL and Valkey from pip wheels, started and stopped by this project. No Django here."""

from moondream_site.services.embedded import (
    EmbeddedServices,
    ServiceError,
    command_of,
    free_port,
    wait_gone,
)

__all__ = ["EmbeddedServices", "ServiceError", "command_of", "free_port", "wait_gone"]
