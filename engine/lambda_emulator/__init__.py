"""Lambda's API, and the functions behind it. It knows nothing of state machines."""
