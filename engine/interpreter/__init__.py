"""What an execution does next: (program, snapshot, event) -> transition. Pure: no IO, no clock, no await."""
