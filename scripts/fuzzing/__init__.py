"""Files that lie, kind by kind, for scripts/fuzz_files.py."""
