"""What must not be in a text: secrets, personal data, markup that runs."""
