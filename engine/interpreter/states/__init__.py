"""What each state type does: one module per type; `enter` and `resume` take values and answer with a Step."""
