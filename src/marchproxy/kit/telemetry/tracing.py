"""Tracing: on for the length of a process, where its settings say so."""

from collections.abc import Iterator
from contextlib import contextmanager

from marchproxy.kit.telemetry.section import Service, TracingSection
from marchproxy.kit.telemetry.spans import recording


@contextmanager
def tracing(section: TracingSection | None, service: Service) -> Iterator[None]:
    """Trace for the length of the block; without a section, do nothing. Raises SettingsError.

    The end of the block takes up to about 0.8 s where the collector does not answer. Enter it outside an event loop.
    """
    if section is None:
        yield
        return
    from marchproxy.kit.telemetry.recorder import SdkRecorder  # noqa: PLC0415 - 60 ms, for who traces only

    recorder = SdkRecorder(section, service)
    try:
        with recording(recorder):
            yield
    finally:
        recorder.close()
