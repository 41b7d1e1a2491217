"""From a program to text: source that runs, and an explanation for people."""
