"""What a person types: each command parses its words and calls one function."""
