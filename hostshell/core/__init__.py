"""The pure room: no I/O, no clock, no threads, no paramiko, no prompt_toolkit."""
