"""The verbs of the command line, one module per group, which adds its verbs to the parser and runs them."""
