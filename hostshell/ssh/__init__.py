"""The only room that imports paramiko."""
