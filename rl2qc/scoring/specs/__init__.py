"""The metrics that come with rl2qc, a file a family: what each says, and its value for a card."""
