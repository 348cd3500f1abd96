"""What an engine shows to those who watch it: health over HTTP, Prometheus metrics, OpenTelemetry spans."""
