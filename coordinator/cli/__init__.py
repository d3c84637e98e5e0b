"""The `kilnet` program. What a command does is imported when it is called: `kilnet --help` answers at once."""
