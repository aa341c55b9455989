"""The seam to the network: one small protocol, and the clients behind it."""
