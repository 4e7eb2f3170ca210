"""Heat sources: one file a kind."""
