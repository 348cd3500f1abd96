"""Where the items of a Distributed Map come from and where its results go: files and objects; no event loop here."""
