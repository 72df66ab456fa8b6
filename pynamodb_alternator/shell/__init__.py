"""The shell commands that look at a cluster. Each module has `add`, which tells argparse its options, and runs it."""
