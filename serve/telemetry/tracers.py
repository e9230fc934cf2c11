"""Makes the tracer that the settings want."""

from serve.settings.tree import SettingsError, TracingSettings
from serve.telemetry.tracing import NoTracer, Tracer


def make_tracer(settings: TracingSettings) -> Tracer:
    """Make it; OpenTelemetry is imported only here, and only when it is wanted.

    Raises:
        SettingsError: tracing is on and the extra `[otel]` is not installed.
    """
    if not settings.enabled:
        return NoTracer()
    try:
        from serve.telemetry.otel import otel_tracer  # noqa: PLC0415
    except ImportError:
        raise SettingsError("tracing.enabled needs OpenTelemetry: pip install 'moegate[otel]'") from None
    return otel_tracer(settings)
