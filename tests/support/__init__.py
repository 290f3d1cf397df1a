"""What the tests stand on: real OpenSSH servers, accounts, keys, and servers that fail in a scripted way."""
