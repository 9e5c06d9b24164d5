"""What is looked at inside of a network."""
