"""Bridges to other tools: a file each, which imports its tool when the file is imported or its function is called."""
