"""Which deployment answers, and what happens when one does not."""
