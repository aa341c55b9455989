"""What happens on the way between a call and its answer."""
