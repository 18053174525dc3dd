"""A program for each tool that is attacked: it starts the tool's own way to catch a redirect, and tells how it ends."""
