"""Programs -> results: hidden tests on observations, in the trusted process."""
