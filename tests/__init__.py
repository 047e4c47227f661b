"""Tests, benchmarks and checks."""
