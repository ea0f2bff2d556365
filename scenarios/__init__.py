"""What to run: a locustfile and a topology each."""
