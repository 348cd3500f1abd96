"""From text to a StateMachine program, or to located Diagnostics. Pure."""
