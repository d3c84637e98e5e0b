"""`kilnet dispute`: the evidence about one tile in one file, and checking it without trusting whoever made it."""
