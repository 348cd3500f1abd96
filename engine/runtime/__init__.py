"""The asynchronous shell: when and where things run. It sees stores and integrations by protocol only."""
