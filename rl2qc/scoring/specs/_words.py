"""What distances of two sets say."""

FAR = "farther from real than real sets are from each other"
NEAR = "nearer to real than real sets are to each other: copies?"
