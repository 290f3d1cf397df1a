"""Inventories of Ansible's kinds, read without Ansible: hosts, groups, and the variables that say how to connect."""
