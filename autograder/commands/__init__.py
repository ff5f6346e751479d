"""The verbs of the command line, one module per group; each adds its verbs to the parser and runs them."""
