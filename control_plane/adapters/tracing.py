"""OpenTelemetry: this process's spans to a collector, where the standard variables name one.

One trace goes from a request of the API by the messages of Celery to the workers and nodes, and to
what those ask of Triton over HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

EXPORT_TIMEOUT_S = 3
"""Below the time that a process gets to end: a collector that is away holds none."""


def is_wanted(environment: Mapping[str, str]) -> bool:
    """True where a collector is named, and nothing switches traces off."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not off and any(environment.get(name) for name in ENDPOINTS)


def traces_url(environment: Mapping[str, str]) -> str:
    """Where spans are sent over HTTP, for what does not read the variables; empty: nowhere.

    >>> traces_url({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"})
    'http://collector:4318/v1/traces'
    """
    if not is_wanted(environment):
        return ""
    own, all_signals = (environment.get(name, "") for name in ENDPOINTS)
    return own or f"{all_signals.rstrip('/')}/v1/traces"


def start_tracing(process: str) -> bool:
    """Sends what this process does from now on; False where nobody wants it.

    Args:
        process: `api`, `worker`, `node` or `beat`: the service is called `nereid-<process>`, or as
            OTEL_SERVICE_NAME says. Names in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS are left out.
    """
    if not is_wanted(os.environ):
        return False
    # Imported where they are wanted: they take a quarter of a second and some memory.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME") or f"nereid-{process}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    said = any(os.environ.get(f"OTEL_EXPORTER_OTLP_{which}TIMEOUT") for which in ("", "TRACES_"))
    exporter = OTLPSpanExporter() if said else OTLPSpanExporter(timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    for library, instrumentor in {
        "django": DjangoInstrumentor,
        "celery": CeleryInstrumentor,
        "httpx": HTTPXClientInstrumentor,
        "psycopg": PsycopgInstrumentor,
    }.items():
        if library not in disabled:
            instrumentor().instrument()
    return True
