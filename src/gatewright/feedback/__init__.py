"""What people say of the answers: taken, kept, told to callbacks, and turned into insights and training data."""
