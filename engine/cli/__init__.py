"""The command line `asl`. One module per command; nothing heavy is imported before a command needs it."""
