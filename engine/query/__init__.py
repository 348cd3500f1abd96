"""From expression text to a compiled closure: JSONPath, intrinsic functions, payload templates, JSONata. Pure."""
