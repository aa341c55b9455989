"""What is learned from the operations: prices for now."""
