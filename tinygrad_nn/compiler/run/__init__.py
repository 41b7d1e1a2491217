"""From text to calls: replay, the check on first use, files, reports."""
