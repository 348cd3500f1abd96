"""The wire: Step Functions' HTTP API. It knows HTTP and AWS JSON and nothing about states."""
