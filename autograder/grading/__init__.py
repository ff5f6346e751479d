"""Programs -> results: hidden tests over observations, in the trusted process."""
