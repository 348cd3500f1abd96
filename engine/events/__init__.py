"""What an engine tells the world of its executions: records for CloudWatch Logs, and EventBridge events."""
