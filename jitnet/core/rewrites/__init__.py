"""Rewrites of a program that hold for every target, one file each."""
