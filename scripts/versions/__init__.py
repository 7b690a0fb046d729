"""The parts of scripts/compare_versions.py: what is run, read and compared."""
