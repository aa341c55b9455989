"""The proof by recorded traffic: replayed by a local server, read by both lanes, checked against the bytes."""
