"""Durable state, in the engine's verbs: any backend that keeps the promises of `protocol` will do."""
