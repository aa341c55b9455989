"""What travels: requests, results, usage, the caller."""
