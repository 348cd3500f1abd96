"""What runs in other processes, by the standard library alone, in any interpreter. Functions see it as /var/runtime."""
