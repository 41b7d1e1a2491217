"""Bridges to other tools, one file each; a tool is imported when its file is imported or its function is called."""
