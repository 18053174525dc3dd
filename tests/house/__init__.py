"""The house that the package is: its floors as data, what may import what, and the drawing of it in the README."""
