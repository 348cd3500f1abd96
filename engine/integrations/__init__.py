"""What stands behind a Task's Resource. Nothing here knows about executions, stores or clocks."""
