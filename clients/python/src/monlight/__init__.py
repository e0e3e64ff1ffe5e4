"""Client for the Monlight monitoring services: errors to error-tracker, values to metrics-collector."""

from .error_client import ErrorClient
from .metrics_client import MetricsClient

__all__ = ["ErrorClient", "MetricsClient"]
__version__ = "0.4.0"
