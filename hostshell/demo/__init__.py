"""A loopback fleet of real SSH servers, for newcomers and for the tests."""
