"""The fixtures of the API's tests."""

from tests.integration.api.conftest import api, digits, queue, weights

__all__ = ("api", "digits", "queue", "weights")
