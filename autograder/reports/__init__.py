"""Results in readable form: terminal output and pages."""
